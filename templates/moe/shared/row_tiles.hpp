#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kerncast/op_definition.hpp"

/// The sharing of the vectors of rows by blocks: the `threads` threads of a block process `rows_per_block`
/// rows, and `blocks_per_row` blocks share a row. The ops that use this have these three as their first
/// tunables.
namespace kerncast::moe::row_tiles {

enum Tunable : std::size_t { threads, rows_per_block, blocks_per_row };

[[nodiscard]] std::vector<TunableSpec> tunables();

/// Default tunables for rows of `vectors` vectors.
[[nodiscard]] Tunables default_tunables(std::int64_t vectors, const DeviceTraits& device, std::int64_t rows);

[[nodiscard]] LaunchGeometry geometry(const Tunables& tunables, std::int64_t rows) noexcept;

}  // namespace kerncast::moe::row_tiles
