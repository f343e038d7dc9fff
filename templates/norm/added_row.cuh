#pragma once

#include "device/pair.cuh"
#include "device/vec.cuh"

namespace kerncast::norm {

/// A row of x + residual, as RowWalk takes it: the sums and, where `HasRests`, what rounding took from them.
template <class X, class Residual, int Width, bool HasRests>
struct AddedRow {
  struct Part {
    float sums[Width];
    float rests[HasRests ? Width : 1];
  };
  static constexpr int width = Width;
  static constexpr int registers = HasRests ? 2 * Width : Width;

  const X* x;
  Residual* residual;

  __device__ __forceinline__ Part load(int column) const {
    Part part;
    float others[Width];
    load_values<X, Width>(x + column, part.sums);
    load_values<Residual, Width>(residual + column, others);
#pragma unroll
    for (int j = 0; j < Width; ++j) {
      if constexpr (HasRests) {
        const Pair sum = exact_sum(part.sums[j], others[j]);
        part.sums[j] = sum.value;
        part.rests[j] = sum.rest;
      } else {
        part.sums[j] += others[j];
      }
    }
    return part;
  }

  __device__ __forceinline__ void store(int column, const Part& part) const {
    store_values<Residual, Width>(residual + column, part.sums);
  }
};

}  // namespace kerncast::norm
