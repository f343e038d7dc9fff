#pragma once

#include "device/index.cuh"
#include "device/quantise.cuh"
#include "quant/shared/fp8_packed_args.h"

namespace kerncast::quant {

/// Threads that share a row of `vectors`; templates/quant/shared/fp8_packed.cpp counts them too.
constexpr int packed_lanes(int vectors) {
  int lanes = 1;
  while (lanes < vectors && lanes < 32) {
    lanes *= 2;
  }
  return lanes;
}

/// Rows of fp8 bytes with their scale behind them, of which a block has Config::threads / lanes in shared
/// memory: such rows are no multiple of a sector, but those of a block, side by side, are moved whole.
template <class Config>
struct PackedRows {
  static constexpr int row_bytes = Config::hidden + 4;
  static constexpr int width = Config::alignment / static_cast<int>(sizeof(typename Config::wide_dtype));
  static constexpr int vectors = Config::hidden / width;
  static constexpr int lanes = packed_lanes(vectors);
  static constexpr int per_lane = (vectors + lanes - 1) / lanes;
  static constexpr int rows = Config::threads / lanes;
  static constexpr int bytes = rows * row_bytes;
  /// Neighbouring rows as one.
  static constexpr int piece = Config::contiguous ? bytes : row_bytes;
  static constexpr int pieces = Config::contiguous ? 1 : rows;
  static constexpr int unit = Config::packed_alignment;

  /// Calls copy(offset in shared memory, address in global memory, Unit) for the bytes of `count` rows from
  /// row `first` on, in units as wide as their alignment allows.
  template <class Copy>
  __device__ __forceinline__ static void each_unit(const Fp8PackedKernelArgs& args, long long first,
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
      // The last block's rows may end within a unit.
      const int byte = used / unit * unit + static_cast<int>(threadIdx.x);
      if (byte < used) {
        copy(byte, packed + byte, static_cast<unsigned char>(0));
      }
    }
  }

  /// Rows of this block.
  __device__ __forceinline__ static int count(const Fp8PackedKernelArgs& args, long long first) {
    return static_cast<int>(args.rows - first < rows ? args.rows - first : rows);
  }
};

}  // namespace kerncast::quant
