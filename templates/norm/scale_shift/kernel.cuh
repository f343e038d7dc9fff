#pragma once

#include "device/programmatic_launch.cuh"
#include "norm/shared/modulation/scale_shift_row.cuh"

namespace kerncast::norm {

/// One row by threads / rows_per_block threads. y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads) scale_shift_kernel(const ScaleShiftKernelArgs args) {
  begin_kernel();
  using X = typename Config::x_dtype;
  using Row = RowVectors<X, Config::alignment, typename Config::y_dtype>;

  const long long row = row_of_thread<Config>();
  if (past_rows<Config>(row, args.rows)) {
    return;
  }
  const X* x = static_cast<const X*>(args.x) + row * args.x_stride;
  auto* y = static_cast<typename Config::y_dtype*>(args.y) + row * args.y_stride;
  const RowWalk<Config, Row> walk(Row{x}, has_row<Config>(row, args.rows));
  modulate_row<Config, X, Row::width>(walk, args.modulation, row, y, [](const auto&, int) {});
}

}  // namespace kerncast::norm
