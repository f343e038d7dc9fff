#pragma once

#include <cstdint>
#include <vector>

#include "kerncast/op.hpp"

/// How the vectors of rows fall to blocks: `threads` threads serve `rows_per_block` rows, and
/// `blocks_per_row` blocks one row. These are the first three tunables of the ops that use them.
namespace kerncast::moe::row_tiles {

enum Tunable : std::size_t { threads, rows_per_block, blocks_per_row };

[[nodiscard]] std::vector<TunableSpec> tunables();

/// For rows of `vectors` vectors.
[[nodiscard]] Tunables default_tunables(std::int64_t vectors, const DeviceTraits& device, std::int64_t rows);

[[nodiscard]] LaunchGeometry geometry(const Tunables& tunables, std::int64_t rows) noexcept;

}  // namespace kerncast::moe::row_tiles
