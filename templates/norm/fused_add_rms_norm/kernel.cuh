#pragma once

#include "device/programmatic_launch.cuh"
#include "device/row.cuh"
#include "norm/fused_add_rms_norm/kernel_args.h"
#include "norm/shared/residual_row.cuh"
#include "norm/shared/rms.cuh"

namespace kerncast::norm {

/// One row by threads / rows_per_block threads. y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads)
    fused_add_rms_norm_kernel(const FusedAddRmsNormKernelArgs args) {
  begin_kernel();
  using X = typename Config::x_dtype;
  using R = typename Config::residual_dtype;
  using Y = typename Config::y_dtype;
  constexpr bool precise = sizeof(Y) == 4;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  constexpr bool has_rests = precise && !Config::round_residual;
  using Row = ResidualRow<X, R, width, has_rests, span_of<X, R, Y>, width, NoGate, Config::round_residual>;

  const long long row = row_of_thread<Config>();
  if (past_rows<Config>(row, args.rows)) {
    return;
  }
  R* residual = static_cast<R*>(args.residual) + row * args.residual_stride;
  const Row sums{static_cast<const X*>(args.x) + row * args.x_stride, residual, residual};
  Y* y = static_cast<Y*>(args.y) + row * args.y_stride;
  const auto* weight = static_cast<const typename Config::weight_dtype*>(args.weight);

  const RowWalk<Config, Row> walk(sums, has_row<Config>(row, args.rows));
  const Pair scale = product(scale_of_row<Config::hidden, precise>(walk, args.eps));
  walk.template each<1>([&](auto part, int column, bool present) {
    if (present) {
      sums.store(column, part);
      normalise_values<Config, width, precise, has_rests>(part.values, part.rests, weight + column, scale,
                                                          args.weight_offset);
      store_values<Y, width>(y + column, part.values);
    }
  });
}

}  // namespace kerncast::norm
