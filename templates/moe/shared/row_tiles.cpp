#include "templates/moe/shared/row_tiles.hpp"

#include <algorithm>

#include "templates/host/checks.hpp"

namespace kerncast::moe::row_tiles {

std::vector<TunableSpec> tunables() {
  return host::tunables(
      host::tunable<threads>("threads of a block", {32, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512}),
      host::tunable<rows_per_block>("tokens that share a block", {1, 2, 4, 8, 16}),
      host::tunable<blocks_per_row>("blocks that share a token", {1, 2, 4, 8, 16, 32}));
}

Tunables default_tunables(std::int64_t vectors, const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t most = host::bucket_ceiling(rows);
  Tunables made;
  if (most <= std::int64_t{2} * device.sm_count) {
    // Latency dominates: spread a token's vectors over small blocks, one vector to a thread.
    const std::int32_t block = most * vectors <= 64 * std::int64_t{device.sm_count} ? 32 : 128;
    made.values[threads] = block;
    made.values[rows_per_block] = 1;
    made.values[blocks_per_row] = std::min(host::power_of_two_above(host::divide_up(vectors, block)), 32);
    return made;
  }
  // Throughput dominates: a block takes one token, or several tokens if rows are short.
  std::int32_t lanes = std::min(host::power_of_two_above(vectors), 256);
  // Use half as many threads if most of them would be idle in the last pass over the row.
  while (lanes > 64 && host::divide_up(vectors, lanes) * lanes > vectors * 9 / 8) {
    lanes /= 2;
  }
  made.values[threads] = std::max(lanes, 128);
  made.values[rows_per_block] = std::min(made.values[threads] / lanes, 16);
  made.values[threads] = std::max(lanes * made.values[rows_per_block], 32);
  made.values[blocks_per_row] = 1;
  return made;
}

LaunchGeometry geometry(const Tunables& tunables, std::int64_t rows) noexcept {
  LaunchGeometry made =
      host::linear_grid(host::divide_up(rows, tunables[rows_per_block]) * tunables[blocks_per_row]);
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

}  // namespace kerncast::moe::row_tiles
