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

}  // namespace

RowBlock row_block(const DeviceTraits& device, std::int64_t rows, std::int32_t lanes) {
  const std::int32_t block = few_rows(device, rows) ? lanes : std::min(std::max(lanes, 256), lanes * 32);
  const std::int32_t threads = std::max(block, 32);
  return {threads, threads / lanes};
}

std::int32_t row_lanes(const DeviceTraits& device, std::int64_t rows, const RowWork& work,
                       std::int64_t taken) {
  const bool few = few_rows(device, rows);
  const std::int32_t wanted = few ? std::clamp(power_of_two_above(work.vectors), 32, 1024)
                                  : std::clamp(power_of_two_above(divide_up(work.vectors, taken)), 1, 1024);
  std::vector<std::int32_t> choices{wanted};
  if (wanted < std::min<std::int64_t>(work.vectors, 1024)) {
    choices.push_back(wanted * 2);
  }
  for (std::int32_t lanes = wanted / 2; lanes >= std::max(wanted / 4, 32); lanes /= 2) {
    if (divide_up(work.vectors, lanes) * work.vector_elements <= work.cost.held_elements) {
      choices.push_back(lanes);
    }
  }
  const std::int64_t most = bucket_ceiling(rows);
  return quickest<std::int32_t>(choices, [&](std::int32_t lanes) {
    const RowBlock block = row_block(device, rows, lanes);
    LaunchGeometry geometry = linear_grid(divide_up(most, block.rows));
    geometry.block[0] = static_cast<std::uint32_t>(block.threads);
    LaunchWork launch;
    launch.vectors = most * work.vectors;
    launch.bytes = launch.vectors * work.vector_bytes * work.cost.tensors;
    launch.once = work.cost.once;
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
