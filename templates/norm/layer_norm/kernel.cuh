#pragma once

#include "device/programmatic_launch.cuh"
#include "device/row.cuh"
#include "norm/layer_norm/kernel_args.h"
#include "norm/shared/mean_variance.cuh"

namespace kerncast::norm {

/// Blocks that a multiprocessor must be able to hold, or 0 to leave this to the compiler. With more than 24
/// elements per thread the compiler takes over 64 registers to load the weights ahead, and then too few
/// threads fit to hide the loads of the rows.
template <class Config>
inline constexpr int resident_blocks =
    Config::hidden > 24 * row_lanes<Config>&& Config::hidden <= 32 * row_lanes<Config>
        ? 1024 / Config::threads
        : 0;

/// One row by threads / rows_per_block threads. y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads, resident_blocks<Config>)
    layer_norm_kernel(const LayerNormKernelArgs args) {
  begin_kernel();
  using X = typename Config::x_dtype;
  using W = typename Config::weight_dtype;
  using Y = typename Config::y_dtype;
  constexpr bool precise = sizeof(Y) == 4;
  using Row = RowVectors<X, Config::alignment, Y>;

  const long long row = row_of_thread<Config>();
  if (past_rows<Config>(row, args.rows)) {
    return;
  }
  const X* x = static_cast<const X*>(args.x) + row * args.x_stride;
  Y* y = static_cast<Y*>(args.y) + row * args.y_stride;
  const W* weight = static_cast<const W*>(args.weight);
  const W* bias = static_cast<const W*>(args.bias);

  const RowWalk<Config, Row> walk(Row{x}, has_row<Config>(row, args.rows));
  const auto centre = centre_of<Config, precise>(walk, args.eps);
  walk.template each<1>([&](auto part, int column, bool present) {
    if (present) {
      float* values = part.values;
      float gains[Row::width];
      float shifts[Row::width];
      if constexpr (Config::has_weight) {
        load_values<W, Row::width>(weight + column, gains);
      }
      if constexpr (Config::has_bias) {
        load_values<W, Row::width>(bias + column, shifts);
      }
#pragma unroll
      for (int j = 0; j < Row::width; ++j) {
        values[j] = centred<precise, Config::has_weight, Config::has_bias>(
            values[j], centre, Config::has_weight ? gains[j] : 1.0f, Config::has_bias ? shifts[j] : 0.0f);
      }
      store_values<Y, Row::width>(y + column, values);
    }
  });
}

}  // namespace kerncast::norm
