#pragma once

#include <cstdint>

#include "kerncast/op_definition.hpp"

/// How kernels that hold whole rows, each shared by some threads of a block, divide them.
namespace kerncast::host {

struct RowBlock {
  std::int32_t threads = 0;
  std::int32_t rows = 0;
};

/// What such a kernel does with a row. Instructions are a warp's, without the moves that its PTX shows.
struct RowCost {
  std::int32_t once = 70;           ///< instructions beside those of the row's vectors
  std::int32_t each = 66;           ///< instructions for 8 elements of each lane
  std::int32_t loads = 1;           ///< for a vector
  std::int32_t tensors = 2;         ///< read and written, of the row's size
  std::int32_t reductions = 1;      ///< over the row
  std::int32_t held_elements = 32;  ///< of a row in a thread at most, as templates/device/row.cuh holds them
};

/// A row as such a kernel sees it.
struct RowWork {
  std::int64_t vectors = 0;
  std::int32_t vector_elements = 0;
  std::int32_t vector_bytes = 0;
  RowCost cost;
};

/// A block of rows that `lanes` threads share: one row where latency counts, enough to fill warps where
/// throughput does.
[[nodiscard]] RowBlock row_block(const DeviceTraits& device, std::int64_t rows, std::int32_t lanes);

/// Threads that share a row: as many as it has vectors where latency counts, else so many that each takes
/// `taken`; twice as many, or half or a quarter where a thread's vectors stay in registers, if that is
/// quicker.
[[nodiscard]] std::int32_t row_lanes(const DeviceTraits& device, std::int64_t rows, const RowWork& work,
                                     std::int64_t taken);

}  // namespace kerncast::host
