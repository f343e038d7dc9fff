#pragma once

#include "device/quantisation/quantise.cuh"
#include "device/row.cuh"
#include "quant/shared/row_scaled_args.h"

namespace kerncast::quant {

/// Quantises one row per threads / rows_per_block threads, with one scale for the row.
template <class Config>
__device__ __forceinline__ void quantise_tokens(const RowScaledKernelArgs& args) {
  using X = typename Config::x_dtype;
  using Q = typename Config::q_dtype;
  using Row = RowVectors<X, Config::alignment>;

  const long long row = row_of_thread<Config>();
  const bool active = row < args.rows;
  const RowWalk<Config, Row> walk(Row{static_cast<const X*>(args.x) + row * args.x_stride}, active);
  const Max amax = walk.template reduce<Max>([](Max& total, const auto& part, int, bool) {
    total.merge(largest_magnitude<Row::width>(part.values));
  });
  const Scale scale = scale_of<ScaleFormat::f32>(amax.value, max_of<Q>);
  Q* q = static_cast<Q*>(args.q) + row * args.q_stride;
  walk.template each<1>([&](auto part, int column, bool present) {
    if (present) {
      store_quantised<Q, Row::width, Row::width>(q + column, part.values, scale.factor);
    }
  });
  if (active && threadIdx.x % row_lanes<Config> == 0) {
    args.s[row * args.s_stride] = __uint_as_float(scale.bits);
  }
}

}  // namespace kerncast::quant
