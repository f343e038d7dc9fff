#pragma once

#include "device/row.cuh"
#include "norm/rms_norm/kernel_args.h"
#include "norm/shared/rms.cuh"

namespace kerncast::norm {

/// One row by threads / rows_per_block threads. y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads) rms_norm_kernel(const RmsNormKernelArgs args) {
  using X = typename Config::x_dtype;
  using Row = RowVectors<X, Config::alignment>;
  using Y = typename Config::y_dtype;
  constexpr bool precise = sizeof(Y) == 4;
  using Total = Squares<precise>;

  const long long row = row_of_thread<Config>();
  const X* x = static_cast<const X*>(args.x) + row * args.x_stride;
  Y* y = static_cast<Y*>(args.y) + row * args.y_stride;
  const auto* weight = static_cast<const typename Config::weight_dtype*>(args.weight);

  const RowWalk<Config, Row> walk(Row{x}, row < args.rows);
  const Total squares = walk.template reduce<Total>([](Total& total, const auto& part, int, bool) {
    float values[Row::width];
    unpack<X>(part, values);
    add_squares<Row::width>(total, values);
  });
  const Pair scale = inverse_rms<Config::hidden>(squares, args.eps);
  walk.template each<1>([&](const auto& part, int column, bool present) {
    if (present) {
      float values[Row::width];
      unpack<X>(part, values);
      normalise_values<Config, Row::width, precise>(values, nullptr, weight + column, scale,
                                                    args.weight_offset);
      store_values<Y, Row::width>(y + column, values);
    }
  });
}

}  // namespace kerncast::norm
