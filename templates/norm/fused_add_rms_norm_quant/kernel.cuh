#pragma once

#include "device/programmatic_launch.cuh"
#include "norm/shared/quantised/quantise_row.cuh"
#include "norm/shared/residual_row.cuh"

namespace kerncast::norm {

/// One row by threads / rows_per_block threads. y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads)
    fused_add_rms_norm_quant_kernel(const RmsNormQuantKernelArgs args) {
  begin_kernel();
  using X = typename Config::x_dtype;
  using R = typename Config::residual_dtype;
  using Row = ResidualRow<X, R, quantised_part<Config>, false, span_of<X, R, typename Config::y_dtype>,
                          quantised_vector<Config>, NoGate, Config::round_residual>;
  const long long row = row_of_thread<Config>();
  R* residual = static_cast<R*>(args.residual) + row * args.residual_stride;
  const Row sums{static_cast<const X*>(args.x) + row * args.x_stride, residual, residual};
  quantise_row<Config>(args, sums, [&](const auto& part, int column) { sums.store(column, part); });
}

}  // namespace kerncast::norm
