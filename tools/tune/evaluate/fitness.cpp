#include "tools/tune/evaluate/fitness.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/devices/occupancy.hpp"
#include "tools/tune/space/call_shape.hpp"

namespace kerncast::tools {
namespace {

/// The share of the first kernel of a call that an SM holds at once.
struct Held {
  int warps = 0;
  std::string limit;
};

Held held_of(const Point& point, std::int64_t call_rows, const devices::DeviceDescription& device,
             const Tunables& tunables, const Compiled& compiled) {
  const LaunchGeometry geometry = point.op().geometry(point.spec, tunables, point.traits, call_rows);
  const std::uint32_t threads = geometry.block[0] * geometry.block[1] * geometry.block[2];
  const devices::Occupancy most = devices::occupancy(
      device, {threads, compiled.registers,
               static_cast<std::uint64_t>(compiled.shared_bytes) + geometry.dynamic_shared});
  const std::uint64_t blocks = std::uint64_t{geometry.grid[0]} * geometry.grid[1] * geometry.grid[2];
  const auto sms = static_cast<std::uint64_t>(std::max(point.traits.sm_count, 1));
  const std::uint64_t share = std::max<std::uint64_t>((blocks + sms - 1) / sms, 1);
  const auto held = std::min<std::uint64_t>(share, static_cast<std::uint64_t>(most.blocks_per_sm));
  const bool device_limits = held < share;
  return {static_cast<int>(held * ((threads + 31) / 32)), device_limits ? most.limit : std::string()};
}

}  // namespace

std::optional<Unfit> unfitness(const Point& point, std::int64_t rows,
                               const devices::DeviceDescription* device, const Candidate& candidate,
                               const Compiled& compiled, const Candidate& own, const Compiled& own_compiled) {
  if (!compiled.error.empty()) {
    return Unfit{compiled.refused ? Outcome::does_not_compile : Outcome::failed, compiled.error};
  }
  if (compiled.spill_bytes > own_compiled.spill_bytes) {
    return Unfit{Outcome::spills, fmt::format("{} bytes per thread spill, {} of the default",
                                              compiled.spill_bytes, own_compiled.spill_bytes)};
  }
  if (device == nullptr) {
    return std::nullopt;
  }
  const std::int64_t call_rows = call_of(point.workload, rows).rows;
  const Held made = held_of(point, call_rows, *device, candidate.tunables, compiled);
  const Held default_held = held_of(point, call_rows, *device, own.tunables, own_compiled);
  const bool scarce = made.limit == "registers" || made.limit == "shared memory";
  if (scarce && 2 * made.warps < default_held.warps) {
    return Unfit{Outcome::low_occupancy,
                 fmt::format("an SM holds {} warps, limited by {}, and {} of the default", made.warps,
                             made.limit, default_held.warps)};
  }
  return std::nullopt;
}

}  // namespace kerncast::tools
