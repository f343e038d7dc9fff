#include "templates/host/row_blocks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "templates/host/checks.hpp"
#include "templates/host/launch_cost.hpp"

namespace kerncast::host {
namespace {

bool few_rows(const DeviceTraits& device, std::int64_t rows) {
  return bucket_ceiling(rows) <= device.sm_count;
}

/// Threads for a row of which each takes `taken` vectors, if such a row may have them.
std::int32_t lanes_for(const RowWork& work, std::int64_t taken) {
  const std::int64_t lanes = divide_up(work.vectors, taken);
  return lanes > 32 && work.whole_warps
             ? static_cast<std::int32_t>(std::min<std::int64_t>(round_up(lanes, 32), 1024))
             : std::clamp(power_of_two_above(lanes), 1, 1024);
}

/// Numbers of lanes that row_lanes() tries, the preferred one first.
std::vector<std::int32_t> lanes_to_try(const RowWork& work, bool few, std::int64_t taken) {
  std::vector<std::int32_t> choices;
  const auto add = [&choices](std::int32_t lanes) {
    if (std::ranges::find(choices, lanes) == choices.end()) {
      choices.push_back(lanes);
    }
  };
  const auto is_held = [&work](std::int32_t lanes) {
    return divide_up(work.vectors, lanes) * work.vector_elements <= work.cost.held_elements;
  };
  add(few ? std::max(lanes_for(work, 1), 32) : lanes_for(work, taken));
  const std::int32_t wanted = few ? std::clamp(power_of_two_above(work.vectors), 32, 1024)
                                  : std::clamp(power_of_two_above(divide_up(work.vectors, taken)), 1, 1024);
  add(wanted);
  if (wanted < std::min<std::int64_t>(work.vectors, 1024)) {
    add(wanted * 2);
  }
  for (std::int32_t lanes = wanted / 2; lanes >= std::max(wanted / 4, 32); lanes /= 2) {
    if (is_held(lanes)) {
      add(lanes);
    }
  }
  // Four vectors in a thread take more registers than the compiler gives some kernels.
  for (const std::int64_t each : {1, 2, 3}) {
    if (const std::int32_t lanes = lanes_for(work, each); lanes >= 32 && is_held(lanes)) {
      add(lanes);
    }
  }
  return choices;
}

}  // namespace

RowBlock row_block(const DeviceTraits& device, std::int64_t rows, std::int32_t lanes) {
  constexpr std::int32_t filled = 256;
  const std::int32_t shared =
      few_rows(device, rows) ? 1 : std::min(power_of_two_above(divide_up(filled, lanes)), 32);
  const std::int32_t threads = std::max(lanes * shared, 32);
  return {threads, threads / lanes};
}

std::int32_t row_lanes(const DeviceTraits& device, std::int64_t rows, const RowWork& work,
                       std::int64_t taken) {
  const std::vector<std::int32_t> choices = lanes_to_try(work, few_rows(device, rows), taken);
  const std::int64_t most = bucket_ceiling(rows);
  return quickest<std::int32_t>(choices, [&](std::int32_t lanes) {
    const RowBlock block = row_block(device, rows, lanes);
    LaunchGeometry geometry = linear_grid(divide_up(most, block.rows));
    geometry.block[0] = static_cast<std::uint32_t>(block.threads);
    LaunchWork launch;
    launch.vectors = most * work.vectors;
    launch.bytes = launch.vectors * work.vector_bytes * work.cost.tensors;
    launch.once = work.cost.once;
    launch.doubles = work.cost.doubles;
    launch.each = work.cost.each * work.vector_elements / 8;
    launch.loads = work.cost.loads;
    launch.barriers = lanes > 32 ? 2 * work.cost.reductions : 0;
    return launch_clocks(geometry, divide_up(work.vectors, lanes), launch, device);
  });
}

std::string row_block_defect(std::int32_t threads, std::int32_t rows) {
  const std::int32_t lanes = threads / rows;
  if (lanes * rows == threads && (lanes % 32 == 0 || power_of_two_above(lanes) == lanes)) {
    return {};
  }
  return fmt::format(
      "{} rows of a block would share its {} threads; each must get whole warps, or 1, 2, 4, 8 or 16 threads",
      rows, threads);
}

}  // namespace kerncast::host
