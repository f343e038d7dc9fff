#include "runtime/simulator/watch/profile.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <tuple>
#include <utility>

#include "runtime/simulator/machine/state.hpp"

namespace kerncast::simulator {

namespace {

constexpr std::uint64_t sector = 32;
constexpr std::uint64_t banks = 32;
constexpr std::uint64_t bank_bytes = 4;

/// Addresses of some lanes of one request, in lane order.
struct Addresses {
  std::array<std::uint64_t, lane_count> at;
  std::uint32_t count = 0;

  void add(std::uint64_t address) { at[count++] = address; }
};

void add_to(Footprint* footprint, std::uint64_t first, std::uint64_t last, const WarpAccess& touch) {
  if (footprint != nullptr) {
    footprint->add(first, last, touch.kind != WarpAccess::Kind::write, touch.kind != WarpAccess::Kind::read);
  }
}

void count_global(Addresses& lanes, const WarpAccess& touch, KerncastSimCounts& counts,
                  Footprint* footprint) {
  const std::uint64_t bytes = touch.bytes;
  counts.global_requests += 1;
  counts.global_bytes += bytes * lanes.count;
  // Accesses are aligned to their size and no larger than a sector, so distinct addresses are disjoint bytes.
  const auto end = lanes.at.begin() + lanes.count;
  std::sort(lanes.at.begin(), end);
  const auto distinct = static_cast<std::uint64_t>(std::unique(lanes.at.begin(), end) - lanes.at.begin());
  std::uint64_t sectors = 0;
  std::uint64_t next = 0;
  for (std::uint64_t i = 0; i < distinct; ++i) {
    const std::uint64_t first = std::max(next, lanes.at[i] / sector);
    const std::uint64_t last = (lanes.at[i] + bytes - 1) / sector;
    if (last >= first) {
      sectors += last - first + 1;
      next = last + 1;
      add_to(footprint, first, last, touch);
    }
  }
  counts.global_sectors += sectors;
  counts.global_least_sectors += (distinct * bytes + sector - 1) / sector;
}

/// Counts what count_global does where the 32 lanes touch neighbours, in order: most accesses of most
/// kernels.
void count_row(const WarpAccess& touch, KerncastSimCounts& counts, Footprint* footprint) {
  const std::uint64_t bytes = std::uint64_t{touch.bytes} * lane_count;
  const std::uint64_t first = touch.first / sector;
  const std::uint64_t last = (touch.first + bytes - 1) / sector;
  counts.global_requests += 1;
  counts.global_bytes += bytes;
  counts.global_sectors += last - first + 1;
  counts.global_least_sectors += (bytes + sector - 1) / sector;
  add_to(footprint, first, last, touch);
}

/// Lanes are served in groups of 128 bytes: all at once up to 4 bytes each, 16 at 8 bytes, 8 at 16. A word
/// that an earlier group fetched is not fetched again.
void count_shared(const Addresses& lanes, std::uint64_t bytes, KerncastSimCounts& counts) {
  counts.shared_requests += 1;
  counts.shared_bytes += bytes * lanes.count;
  const std::uint64_t words_each = (bytes + bank_bytes - 1) / bank_bytes;
  if (words_each > banks) {
    // Only bulk copies are that wide: each goes through all banks in order.
    const std::uint64_t wavefronts = lanes.count * ((words_each + banks - 1) / banks);
    counts.shared_wavefronts += wavefronts;
    counts.shared_least_wavefronts += wavefronts;
    return;
  }
  const std::uint64_t group = banks / words_each;
  std::array<std::uint64_t, std::size_t{lane_count} * 8> seen;
  std::size_t known = 0;
  for (std::uint64_t first = 0; first < lanes.count; first += group) {
    std::array<std::uint64_t, banks> load{};
    const std::uint64_t last = std::min<std::uint64_t>(lanes.count, first + group);
    for (std::uint64_t i = first; i < last; ++i) {
      for (std::uint64_t k = 0; k < words_each; ++k) {
        const std::uint64_t word = lanes.at[i] / bank_bytes + k;
        const auto end = seen.begin() + static_cast<std::ptrdiff_t>(known);
        if (std::find(seen.begin(), end, word) == end) {
          seen[known++] = word;
          ++load[word % banks];
        }
      }
    }
    counts.shared_wavefronts += *std::max_element(load.begin(), load.end());
  }
  counts.shared_least_wavefronts += (known + banks - 1) / banks;
}

}  // namespace

Tally::Tally(std::uint32_t instructions, bool footprint)
    : warp_steps_(std::size_t{instructions} + 1),
      thread_steps_(std::size_t{instructions} + 1),
      counts_(instructions),
      footprint_(footprint ? std::make_unique<Footprint>() : nullptr) {}

void Tally::access(Warp& warp, std::uint32_t instruction, const WarpAccess& touch) {
  KerncastSimCounts& counts = counts_[instruction];
  const auto shared = reinterpret_cast<std::uint64_t>(warp.shared);
  const auto local = reinterpret_cast<std::uint64_t>(warp.local);
  const auto parameters = reinterpret_cast<std::uint64_t>(warp.parameters);
  // The offset in the shared memory of any block of the cluster; its size if in none.
  const auto shared_offset = [&](std::uint64_t address) {
    for (std::uint32_t rank = 0; warp.cluster->blocks > 1 && rank < warp.cluster->blocks; ++rank) {
      const std::uint64_t offset = address - reinterpret_cast<std::uint64_t>(warp.cluster->shared[rank]);
      if (offset < warp.shared_bytes) {
        return offset;
      }
    }
    return std::min(address - shared, warp.shared_bytes);
  };
  const auto is_global = [&](std::uint64_t address) {
    return shared_offset(address) >= warp.shared_bytes && address - local >= warp.local_bytes * lane_count &&
           address - parameters >= warp.parameter_bytes;
  };
  if (touch.host == nullptr && touch.stride == touch.bytes && touch.mask == all_lanes &&
      is_global(touch.first) && is_global(touch.at(lane_count - 1))) {
    warp.global_requests += 1;
    count_row(touch, counts, footprint_.get());
    return;
  }
  Addresses in_global;
  Addresses in_shared;
  std::uint64_t in_local = 0;
  for (std::uint32_t rest = touch.mask; rest != 0; rest &= rest - 1) {
    const std::uint64_t address = touch.at(static_cast<std::uint32_t>(std::countr_zero(rest)));
    if (const std::uint64_t offset = shared_offset(address); offset < warp.shared_bytes) {
      in_shared.add(offset);
    } else if (address - local < warp.local_bytes * lane_count) {
      ++in_local;
    } else if (address - parameters >= warp.parameter_bytes) {
      // Kernel parameters, which are loaded by address where a kernel has many, come from the constant bank.
      in_global.add(address);
    }
  }
  if (in_global.count != 0) {
    warp.global_requests += 1;
    count_global(in_global, touch, counts, footprint_.get());
  }
  if (in_shared.count != 0) {
    count_shared(in_shared, touch.bytes, counts);
  }
  if (in_local != 0) {
    counts.local_requests += 1;
    counts.local_bytes += in_local * touch.bytes;
  }
}

void Tally::end_of_warp(const Warp& warp) {
  // If warps run equally long, the one with the most requests counts, so that the order in which they end
  // does not matter.
  if (std::pair(warp.warp_instructions, warp.global_requests) >
      std::pair(longest_warp_, longest_warp_requests_)) {
    longest_warp_ = warp.warp_instructions;
    longest_warp_requests_ = warp.global_requests;
  }
}

void Tally::add_to(LaunchProfile& profile) const {
  profile.instructions.resize(counts_.size());
  std::tie(profile.longest_warp, profile.longest_warp_requests) =
      std::max(std::pair(profile.longest_warp, profile.longest_warp_requests),
               std::pair(longest_warp_, longest_warp_requests_));
  if (footprint_ != nullptr) {
    profile.footprint.add(*footprint_);
  }
  std::int64_t warps = 0;
  std::int64_t threads = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    warps += warp_steps_[i];
    threads += thread_steps_[i];
    const KerncastSimCounts& own = counts_[i];
    KerncastSimCounts& sum = profile.instructions[i];
    sum.warp_instructions += static_cast<std::uint64_t>(warps);
    sum.thread_instructions += static_cast<std::uint64_t>(threads);
    sum.divergent += own.divergent;
    sum.global_requests += own.global_requests;
    sum.global_bytes += own.global_bytes;
    sum.global_sectors += own.global_sectors;
    sum.global_least_sectors += own.global_least_sectors;
    sum.local_requests += own.local_requests;
    sum.local_bytes += own.local_bytes;
    sum.shared_requests += own.shared_requests;
    sum.shared_bytes += own.shared_bytes;
    sum.shared_wavefronts += own.shared_wavefronts;
    sum.shared_least_wavefronts += own.shared_least_wavefronts;
  }
}

}  // namespace kerncast::simulator
