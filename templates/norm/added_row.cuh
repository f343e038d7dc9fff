#pragma once

#include "device/pair.cuh"
#include "device/span.cuh"

namespace kerncast::norm {

/// Leaves x as it is.
struct NoGate {
  static constexpr bool present = false;
  static constexpr bool paired = false;
};

/// Multiplies x by a BroadcastRow; `Paired` as of load_span.
template <class Row, bool Paired>
struct RowGate {
  static constexpr bool present = Row::present;
  static constexpr bool paired = Paired;
  Row row;
};

/// A row of x + residual, or gate * x + residual, as RowWalk takes it: the sums and, where `HasRests`, what
/// rounding took from them.
template <class X, class Residual, int Width, bool HasRests, class Gate = NoGate>
struct AddedRow {
  struct Part {
    float sums[Width];
    float rests[HasRests ? Width : 1];
  };
  static constexpr int width = Width;
  static constexpr int registers = HasRests ? 2 * Width : Width;
  static_assert(!(HasRests && Gate::present), "a gated sum is rounded once, to f32");

  const X* x;
  const Residual* residual;
  Residual* stored;  ///< may be residual
  Gate gate = {};

  __device__ __forceinline__ Part load(int column) const {
    Part part;
    float others[Width];
    load_span<X, Width, Gate::paired>(x + column, part.sums);
    load_span<Residual, Width, Gate::paired>(residual + column, others);
    float gates[Width];
    if constexpr (Gate::present) {
      gate.row.template load<Width, Gate::paired>(column, gates);
    }
#pragma unroll
    for (int j = 0; j < Width; ++j) {
      if constexpr (Gate::present) {
        part.sums[j] = fmaf(gates[j], part.sums[j], others[j]);
      } else if constexpr (HasRests) {
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
    store_values<Residual, Width>(stored + column, part.sums);
  }
};

}  // namespace kerncast::norm
