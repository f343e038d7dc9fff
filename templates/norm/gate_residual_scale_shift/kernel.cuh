#pragma once

#include "device/programmatic_launch.cuh"
#include "norm/gate_residual_scale_shift/kernel_args.h"
#include "norm/shared/modulation/scale_shift_row.cuh"
#include "norm/shared/residual_row.cuh"

namespace kerncast::norm {

/// One row by threads / rows_per_block threads. y and r may be x and residual.
template <class Config>
__global__ void __launch_bounds__(Config::threads)
    gate_residual_scale_shift_kernel(const GateResidualScaleShiftKernelArgs args) {
  begin_kernel();
  using X = typename Config::x_dtype;
  using R = typename Config::residual_dtype;
  using Y = typename Config::y_dtype;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  using Gate = RowGate<BroadcastRow<typename Config::modulation_dtype, Config::gate_form>,
                       rows_in_step<Config, width>>;
  constexpr bool rounded = static_cast<AtenRounding>(Config::aten_rounding) != AtenRounding::none;
  using Row = ResidualRow<X, R, width, false, span_of<X, R, Y>, width, Gate, rounded>;

  const long long row = row_of_thread<Config>();
  const Row sums{static_cast<const X*>(args.norm.x) + row * args.norm.x_stride,
                 static_cast<const R*>(args.residual) + row * args.residual_stride,
                 static_cast<R*>(args.r) + row * args.r_stride, Gate{{args.gate, row}}};
  auto* y = static_cast<Y*>(args.norm.y) + row * args.norm.y_stride;
  const RowWalk<Config, Row> walk(sums, row < args.norm.rows);
  modulate_row<Config, R, width>(walk, args.norm.modulation, row, y,
                                 [&](const auto& part, int column) { sums.store(column, part); });
}

}  // namespace kerncast::norm
