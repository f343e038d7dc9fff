#pragma once

#include "device/functions/activation.cuh"
#include "device/programmatic_launch.cuh"
#include "quant/shared/group_scaled.cuh"

namespace kerncast::quant {

template <class Config>
__global__ void __launch_bounds__(Config::threads)
    silu_and_mul_per_token_group_kernel(const GroupScaledKernelArgs args) {
  begin_kernel();
  using X = typename Config::x_dtype;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  using Activation = typename Choose<Config::limit, LimitedSiluAndMul, SiluAndMul>::type;
  quantise_rows<Config, (Config::experts > 0)>(args, [&args](const X* row, int column, auto& values) {
    GatedParts<Activation, X, Config::hidden, static_cast<int>(sizeof(values) / sizeof(float)), width> loaded;
    loaded.load(row, column);
    loaded.template activate<typename Config::q_dtype>(values, {args.limit, 0.0f});
  });
}

}  // namespace kerncast::quant
