#pragma once

#include "device/pair.cuh"
#include "device/promote.cuh"
#include "device/round.cuh"
#include "device/span.cuh"

namespace kerncast::norm {

/// Leaves x as it is.
struct NoGate {
  static constexpr bool present = false;
  static constexpr bool paired = false;
};

/// Multiplies x by a BroadcastRow; for `Paired` see load_span.
template <class Row, bool Paired>
struct RowGate {
  static constexpr bool present = Row::present;
  static constexpr bool paired = Paired;
  using Element = typename Row::Element;
  Row row;
};

/// A row of x + residual, or gate * x + residual, as the source of a RowWalk: the sums and, if `HasRests`,
/// the errors of rounding in them. `Rounded` sums are values of `Residual`, and their products
/// are rounded as torch rounds them.
template <class X, class Residual, int Width, bool HasRests, int Span, int Vector = Width,
          class Gate = NoGate, bool Rounded = false>
struct ResidualRow {
  struct Part {
    float values[Width];
    float rests[HasRests ? Width : 1];
  };
  using Loaded = Part;
  static constexpr int width = Width;
  static constexpr int span = Span;
  static constexpr int registers = HasRests ? 2 * Width : Width;
  static_assert(!Gate::present || (!HasRests && Vector == Width), "a gated sum is rounded once, to f32");
  static_assert(!Rounded || !HasRests, "a rounded sum is the number itself");

  const X* x;
  const Residual* residual;
  Residual* stored;  ///< may be residual
  Gate gate = {};

  __device__ __forceinline__ static const Part& part_of(const Loaded& loaded) { return loaded; }
  __device__ __forceinline__ Part load(int column) const {
    Part part;
    float others[Width];
#pragma unroll
    for (int i = 0; i < Width; i += Vector) {
      load_span<X, Vector, Gate::paired>(x + column + i, part.values + i);
      load_span<Residual, Vector, Gate::paired>(residual + column + i, others + i);
    }
    float gates[Width];
    if constexpr (Gate::present) {
      gate.row.template load<Width, Gate::paired>(column, gates);
    }
    if constexpr (Gate::present && Rounded) {
#pragma unroll
      for (int j = 0; j < Width; ++j) {
        part.values[j] = __fmul_rn(gates[j], part.values[j]);
      }
      round_values<Promoted<typename Gate::Element, X>, Width>(part.values);
    }
#pragma unroll
    for (int j = 0; j < Width; ++j) {
      if constexpr (Gate::present && !Rounded) {
        part.values[j] = fmaf(gates[j], part.values[j], others[j]);
      } else if constexpr (HasRests) {
        const Pair sum = exact_sum(part.values[j], others[j]);
        part.values[j] = sum.value;
        part.rests[j] = sum.rest;
      } else {
        part.values[j] += others[j];
      }
    }
    if constexpr (Rounded) {
      round_values<Residual, Width>(part.values);
    }
    return part;
  }

  __device__ __forceinline__ void store(int column, const Part& part) const {
#pragma unroll
    for (int i = 0; i < Width; i += Vector) {
      store_values<Residual, Vector>(stored + column + i, part.values + i);
    }
  }
};

}  // namespace kerncast::norm
