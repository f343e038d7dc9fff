#pragma once

#include "device/index.cuh"
#include "device/quantisation/quantise.cuh"
#include "quant/shared/packed_rows_args.h"

namespace kerncast::quant {

/// Number of threads that share a row of `vectors` vectors. lanes_of() in packed_rows.cpp computes the same.
constexpr int packed_lanes(int vectors) {
  int lanes = 1;
  while (lanes < vectors && lanes < 32) {
    lanes *= 2;
  }
  return lanes;
}

/// Rows of fp8 bytes, each followed by its scale. A block of threads stages Config::threads / lanes rows in
/// shared memory: one row does not fill whole sectors, but the contiguous rows of a block mostly do.
template <class Config>
struct PackedRows {
  static constexpr int row_bytes = Config::hidden + 4;
  static constexpr int width = Config::alignment / static_cast<int>(sizeof(typename Config::wide_dtype));
  static constexpr int vectors = Config::hidden / width;
  static constexpr int lanes = packed_lanes(vectors);
  static constexpr int per_lane = (vectors + lanes - 1) / lanes;
  static constexpr int rows = Config::threads / lanes;
  static constexpr int bytes = rows * row_bytes;
  /// Bytes that are copied as one run: all rows of the block if they are contiguous, else one row.
  static constexpr int piece = Config::contiguous ? bytes : row_bytes;
  static constexpr int pieces = Config::contiguous ? 1 : rows;
  static constexpr int unit = Config::packed_alignment;

  /// Calls copy(offset in shared memory, address in global memory, Unit) for every unit of `count` rows,
  /// starting at row `first`. Units are as wide as the alignment allows.
  template <class Copy>
  __device__ __forceinline__ static void each_unit(const PackedRowsKernelArgs& args, long long first,
                                                   int count, const Copy& copy) {
    unsigned char* packed = args.packed + first * args.packed_stride;
    const int used = count * row_bytes;
    using Unit = typename VectorType<unit>::type;
#pragma unroll 1
    for (int i = threadIdx.x; i < pieces * (piece / unit); i += Config::threads) {
      const int row = i / (piece / unit);
      const int byte = i % (piece / unit) * unit;
      if (row * piece + byte + unit <= used) {
        copy(row * piece + byte, packed + row * args.packed_stride + byte, Unit{});
      }
    }
    if constexpr (Config::contiguous && unit > 1) {
      // The rows of the last block may end within a unit; copy the rest by bytes.
      const int byte = used / unit * unit + static_cast<int>(threadIdx.x);
      if (byte < used) {
        copy(byte, packed + byte, static_cast<unsigned char>(0));
      }
    }
  }

  /// Number of rows of the block whose first row is `first`.
  __device__ __forceinline__ static int count(const PackedRowsKernelArgs& args, long long first) {
    return static_cast<int>(args.rows - first < rows ? args.rows - first : rows);
  }
};

}  // namespace kerncast::quant
