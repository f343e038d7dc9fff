#include "runtime/simulator/watch/grid_accesses.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>
#include <string>

#include "runtime/simulator/machine/grid_link.hpp"
#include "runtime/simulator/machine/scheduler.hpp"
#include "runtime/simulator/watch/strict.hpp"

namespace kerncast::simulator {

namespace {

constexpr std::size_t most_early = std::size_t{1} << 20;

/// Bits [first, last) of a 64-bit word.
std::uint64_t bits(std::uint64_t first, std::uint64_t last) {
  const std::uint64_t below = last == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << last) - 1;
  return below & ~((std::uint64_t{1} << first) - 1);
}

/// Calls visit(page, word, bits) for each word of bits that stands for bytes of [address, address + bytes).
template <class Visit>
void for_each_word(std::uint64_t address, std::uint64_t bytes, std::uint64_t page_bytes, Visit&& visit) {
  for (const std::uint64_t end = address + bytes; address < end;) {
    const std::uint64_t next = std::min(end, (address / 64 + 1) * 64);
    visit(address / page_bytes, address % page_bytes / 64, bits(address % 64, address % 64 + next - address));
    address = next;
  }
}

}  // namespace

GridAccesses::GridAccesses() {
  static std::atomic<std::uint64_t> made{0};
  serial_ = ++made;
}

GridAccesses::Page& GridAccesses::page(std::uint64_t number) {
  struct Recent {
    std::uint64_t serial = 0;
    std::uint64_t number = 0;
    Page* page = nullptr;
  };
  thread_local std::array<Recent, 16> recent;
  Recent& entry = recent[number % recent.size()];
  if (entry.serial != serial_ || entry.number != number) {
    Shard& shard = shards_[number % shards_.size()];
    const std::lock_guard lock(shard.mutex);
    std::unique_ptr<Page>& made = shard.pages[number];
    if (made == nullptr) {
      made = std::make_unique<Page>();
    }
    entry = {serial_, number, made.get()};
  }
  return *entry.page;
}

const GridAccesses::Page* GridAccesses::known_page(std::uint64_t number) const {
  const Shard& shard = shards_[number % shards_.size()];
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.pages.find(number);
  return found == shard.pages.end() ? nullptr : found->second.get();
}

void GridAccesses::add(Warp& warp, const Op* op, const WarpAccess& touch, std::uint32_t lanes,
                       std::uint64_t address, std::uint64_t bytes) {
  const bool reads = touch.kind != WarpAccess::Kind::write;
  const bool writes = touch.kind != WarpAccess::Kind::read;
  const auto mark = [](std::atomic<std::uint64_t>& word, std::uint64_t wanted) {
    if ((word.load(std::memory_order_relaxed) & wanted) != wanted) {
      word.fetch_or(wanted, std::memory_order_relaxed);
    }
  };
  for_each_word(address, bytes, page_bytes,
                [&](std::uint64_t number, std::uint64_t word, std::uint64_t wanted) {
                  Page& touched = page(number);
                  if (reads) {
                    mark(touched.read[word], wanted);
                  }
                  if (writes) {
                    mark(touched.written[word], wanted);
                  }
                });
  const Block& block = *warp.block;
  if (block.launch->launch->link->before() == nullptr || early_full_.load(std::memory_order_relaxed) ||
      warp.strict->after_grid_wait(warp.index)) {
    return;
  }
  const std::uint32_t thread = warp.index * lane_count + static_cast<std::uint32_t>(std::countr_zero(lanes));
  const std::lock_guard lock(early_mutex_);
  early_.push_back(
      {op, block.linear, address, static_cast<std::uint32_t>(bytes), touch.bytes, thread, reads, writes});
  early_full_.store(early_.size() >= most_early, std::memory_order_relaxed);
}

std::uint64_t GridAccesses::find(std::uint64_t address, std::uint64_t bytes, bool reads) const {
  std::uint64_t found = 0;
  for_each_word(
      address, bytes, page_bytes, [&](std::uint64_t number, std::uint64_t word, std::uint64_t wanted) {
        const Page* const touched = found == 0 ? known_page(number) : nullptr;
        if (touched == nullptr) {
          return;
        }
        const std::uint64_t both =
            wanted & (touched->written[word].load(std::memory_order_relaxed) |
                      (reads ? touched->read[word].load(std::memory_order_relaxed) : 0));
        if (both != 0) {
          found = number * page_bytes + word * 64 + static_cast<std::uint64_t>(std::countr_zero(both));
        }
      });
  return found;
}

namespace {

/// Text of the effect that an access before the wait had on byte `address`, which launch `other` touched.
std::string describe(const LaunchState& state, const GridAccesses::Early& early, const GridLink& other,
                     std::uint64_t address) {
  const bool contiguous = early.bytes > early.lane_bytes;
  const std::uint64_t thread =
      early.thread + (contiguous ? (address - early.address) / early.lane_bytes : std::uint64_t{0});
  const std::array<std::uint32_t, 3>& grid = state.launch->grid;
  const std::array<std::uint32_t, 3>& size = state.launch->block;
  const bool written = other.accesses->find(address, 1, false) != 0;
  return fmt::format(
      "kernel '{}', block ({},{},{}), thread ({},{},{}): {} of {} bytes at global address {:#x} before "
      "griddepcontrol.wait, where kernel '{}' before it {}: the two launches may overlap{}",
      state.function->name, early.block % grid[0], early.block / grid[0] % grid[1],
      early.block / grid[0] / grid[1], thread % size[0], thread / size[0] % size[1],
      thread / size[0] / size[1],
      !early.writes  ? "read"
      : !early.reads ? "write"
                     : "atomic update",
      early.lane_bytes, address, other.kernel(), written ? "writes" : "reads",
      describe_op(*state.module, early.op));
}

}  // namespace

void note_accesses(GridLink& link) {
  link.accesses = std::make_shared<GridAccesses>();
}

void strict_end_of_grid(LaunchState& state) {
  const GridLink& link = *state.launch->link;
  std::set<const Op*> reported;
  for (const std::shared_ptr<GridLink>& other : link.overlapped()) {
    if (other->accesses == nullptr) {
      continue;
    }
    for (const GridAccesses::Early& early : link.accesses->early()) {
      const std::uint64_t address = other->accesses->find(early.address, early.bytes, early.writes);
      if (address == 0 || !reported.insert(early.op).second) {
        continue;
      }
      std::string text = describe(state, early, *other, address);
      if (state.launch->findings == nullptr) {
        if (state.fault.kind == FaultKind::none) {
          state.report(early.block, {FaultKind::violation, std::move(text)});
        } else {
          state.fault.message += "; " + text;  // it may be the cause
        }
        return;
      }
      state.launch->findings->push_back(std::move(text));
    }
  }
}

}  // namespace kerncast::simulator
