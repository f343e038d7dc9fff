#include "tools/profile/launch_profile.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "runtime/devices/tensor_work.hpp"

namespace kerncast::tools {
namespace {

std::string text_or_empty(const char* text) {
  return text != nullptr ? text : "";
}

}  // namespace

std::uint64_t LaunchProfile::blocks() const {
  return std::uint64_t{grid[0]} * grid[1] * grid[2];
}

std::uint32_t LaunchProfile::threads_per_block() const {
  return block[0] * block[1] * block[2];
}

std::uint32_t LaunchProfile::warps_per_block() const {
  return (threads_per_block() + 31) / 32;
}

LaunchProfile copy_launch(const KerncastSimLaunch& launch) {
  LaunchProfile profile;
  profile.kernel = text_or_empty(launch.kernel);
  std::copy(std::begin(launch.grid), std::end(launch.grid), profile.grid.begin());
  std::copy(std::begin(launch.block), std::end(launch.block), profile.block.begin());
  profile.static_shared = launch.static_shared;
  profile.dynamic_shared = launch.dynamic_shared;
  profile.longest_warp = launch.longest_warp;
  profile.longest_warp_requests = launch.longest_warp_requests;
  for (std::size_t i = 0; i < launch.instruction_count; ++i) {
    const KerncastSimInstruction& from = launch.instructions[i];
    profile.instructions.push_back({from.ptx_line, from.source_line, text_or_empty(from.source_file),
                                    text_or_empty(from.text), text_or_empty(from.unit), from.counts});
  }
  return profile;
}

void add_counts(KerncastSimCounts& sum, const KerncastSimCounts& more) {
  sum.warp_instructions += more.warp_instructions;
  sum.thread_instructions += more.thread_instructions;
  sum.divergent += more.divergent;
  sum.global_requests += more.global_requests;
  sum.global_bytes += more.global_bytes;
  sum.global_sectors += more.global_sectors;
  sum.global_least_sectors += more.global_least_sectors;
  sum.local_requests += more.local_requests;
  sum.local_bytes += more.local_bytes;
  sum.shared_requests += more.shared_requests;
  sum.shared_bytes += more.shared_bytes;
  sum.shared_wavefronts += more.shared_wavefronts;
  sum.shared_least_wavefronts += more.shared_least_wavefronts;
}

KerncastSimCounts total_counts(const LaunchProfile& profile) {
  KerncastSimCounts sum{};
  for (const ProfiledInstruction& instruction : profile.instructions) {
    add_counts(sum, instruction.counts);
  }
  return sum;
}

std::vector<UnitCounts> counts_by_unit(const LaunchProfile& profile) {
  std::vector<UnitCounts> units;
  for (const ProfiledInstruction& instruction : profile.instructions) {
    if (instruction.counts.warp_instructions == 0) {
      continue;
    }
    auto unit = std::find_if(units.begin(), units.end(),
                             [&](const UnitCounts& known) { return known.unit == instruction.unit; });
    if (unit == units.end()) {
      unit = units.insert(unit, {instruction.unit, {}});
    }
    add_counts(unit->counts, instruction.counts);
  }
  std::sort(units.begin(), units.end(), [](const UnitCounts& a, const UnitCounts& b) {
    return std::pair(b.counts.warp_instructions, a.unit) < std::pair(a.counts.warp_instructions, b.unit);
  });
  return units;
}

KerncastSimCounts counts_of_unit(const LaunchProfile& profile, std::string_view unit) {
  KerncastSimCounts sum{};
  for (const ProfiledInstruction& instruction : profile.instructions) {
    if (instruction.unit == unit) {
      add_counts(sum, instruction.counts);
    }
  }
  return sum;
}

GlobalTraffic global_traffic(const LaunchProfile& profile) {
  GlobalTraffic traffic;
  for (const ProfiledInstruction& instruction : profile.instructions) {
    if (instruction.counts.global_requests == 0) {
      continue;
    }
    KerncastSimCounts& part = instruction.unit == "store"    ? traffic.stores
                              : instruction.unit == "atomic" ? traffic.atomics
                                                             : traffic.loads;
    add_counts(part, instruction.counts);
  }
  return traffic;
}

double thread_utilisation(const KerncastSimCounts& counts) {
  return counts.warp_instructions == 0 ? 0
                                       : static_cast<double>(counts.thread_instructions) /
                                             (32.0 * static_cast<double>(counts.warp_instructions));
}

double ratio_to_least(std::uint64_t moved, std::uint64_t least) {
  return least == 0 ? 1 : static_cast<double>(moved) / static_cast<double>(least);
}

bool has_line_info(const LaunchProfile& profile) {
  return std::any_of(profile.instructions.begin(), profile.instructions.end(),
                     [](const ProfiledInstruction& instruction) { return instruction.source_line != 0; });
}

std::vector<LineCounts> counts_by_line(const LaunchProfile& profile) {
  std::map<std::pair<std::string, std::uint32_t>, KerncastSimCounts> lines;
  for (const ProfiledInstruction& instruction : profile.instructions) {
    if (instruction.counts.warp_instructions == 0) {
      continue;
    }
    const bool known = instruction.source_line != 0;
    add_counts(lines[{known ? instruction.source_file : std::string(),
                      known ? instruction.source_line : instruction.ptx_line}],
               instruction.counts);
  }
  std::vector<LineCounts> list;
  list.reserve(lines.size());
  for (const auto& [place, counts] : lines) {
    list.push_back({place.first, place.second, counts});
  }
  return list;
}

double total_tensor_fma(const LaunchProfile& profile) {
  double sum = 0;
  for (const ProfiledInstruction& instruction : profile.instructions) {
    if (instruction.unit == "tensor") {
      sum +=
          devices::tensor_fma(instruction.text) * static_cast<double>(instruction.counts.warp_instructions);
    }
  }
  return sum;
}

}  // namespace kerncast::tools
