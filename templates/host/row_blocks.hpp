#pragma once

#include <cstdint>
#include <string>

#include "kerncast/op_definition.hpp"

/// The division of rows into blocks and threads for kernels in which some threads of a block share a whole
/// row.
namespace kerncast::host {

/// The shape of a block: its threads, and the rows that share them.
struct RowBlock {
  std::int32_t threads = 0;
  std::int32_t rows = 0;
};

/// The work of such a kernel on a row. Instructions are those of a warp, without the moves that its PTX
/// shows.
struct RowCost {
  std::int32_t once = 70;           ///< instructions beside those of the row's vectors
  std::int32_t each = 66;           ///< instructions for 8 elements of each lane
  std::int32_t loads = 1;           ///< loads of a vector
  std::int32_t tensors = 2;         ///< tensors of the row's size that are read or written
  std::int32_t reductions = 1;      ///< reductions over the row
  std::int32_t held_elements = 32;  ///< most elements of a row in a thread, see templates/device/row.cuh
  std::int32_t doubles = 0;         ///< of the instructions beside those of the vectors, those in f64
  /// Bytes of the widest element among the tensors that narrow the spans; 0 stands for x and y.
  std::int32_t widest = 0;
};

/// A row in units of such a kernel's loads.
struct RowWork {
  std::int64_t vectors = 0;
  std::int32_t vector_elements = 0;
  std::int32_t vector_bytes = 0;
  RowCost cost;
  bool whole_warps = false;  ///< a row may be shared by a number of warps that is no power of two
};

/// A block of rows that `lanes` threads share each: one row if latency counts, enough rows to fill warps if
/// throughput counts.
[[nodiscard]] RowBlock row_block(const DeviceTraits& device, std::int64_t rows, std::int32_t lanes);

/// Threads that share a row: as many as it has vectors if latency counts, else so many that each takes
/// `taken` vectors. Twice as many are chosen if that is quicker, or fewer if a thread's vectors then stay in
/// registers.
[[nodiscard]] std::int32_t row_lanes(const DeviceTraits& device, std::int64_t rows, const RowWork& work,
                                     std::int64_t taken);

/// The reason why `rows` rows cannot share `threads` threads in a kernel that walks over rows as
/// templates/device/row.cuh does; empty if they can.
[[nodiscard]] std::string row_block_defect(std::int32_t threads, std::int32_t rows);

}  // namespace kerncast::host
