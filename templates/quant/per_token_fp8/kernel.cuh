#pragma once

#include "device/programmatic_launch.cuh"
#include "quant/shared/row_scaled.cuh"

namespace kerncast::quant {

template <class Config>
__global__ void __launch_bounds__(Config::threads) per_token_fp8_kernel(const RowScaledKernelArgs args) {
  begin_kernel();
  quantise_tokens<Config>(args);
}

}  // namespace kerncast::quant
