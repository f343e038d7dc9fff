#pragma once

#include "device/pair.cuh"
#include "device/vec.cuh"

namespace kerncast::norm {

/// A row of x + residual, as RowWalk takes it in vectors: the sums and, where `HasRests`, what rounding took
/// from them.
template <class X, class Residual, int Width, bool HasRests, int Vector = Width>
struct AddedRow {
  struct Part {
    float values[Width];
    float rests[HasRests ? Width : 1];
  };
  static constexpr int width = Width;
  static constexpr int registers = HasRests ? 2 * Width : Width;

  const X* x;
  Residual* residual;

  __device__ __forceinline__ Part load(int column) const {
    Part part;
    float others[Width];
#pragma unroll
    for (int i = 0; i < Width; i += Vector) {
      load_values<X, Vector>(x + column + i, part.values + i);
      load_values<Residual, Vector>(residual + column + i, others + i);
    }
#pragma unroll
    for (int j = 0; j < Width; ++j) {
      if constexpr (HasRests) {
        const Pair sum = exact_sum(part.values[j], others[j]);
        part.values[j] = sum.value;
        part.rests[j] = sum.rest;
      } else {
        part.values[j] += others[j];
      }
    }
    return part;
  }

  __device__ __forceinline__ void store(int column, const Part& part) const {
#pragma unroll
    for (int i = 0; i < Width; i += Vector) {
      store_values<Residual, Vector>(residual + column + i, part.values + i);
    }
  }
};

}  // namespace kerncast::norm
