#pragma once

#include "device/programmatic_launch.cuh"
#include "quant/shared/block_scaled.cuh"

namespace kerncast::quant {

template <class Config>
struct Mxfp4 {
  static constexpr int block = 32;
  static constexpr bool global = false;
  static constexpr bool fp4 = true;
  template <int Count>
  __device__ __forceinline__ static Scale scale(float amax, float, const float*) {
    return mx_scale<Config::ocp_floor, 2>(amax, 6.0f);
  }
};

template <class Config>
__global__ void __launch_bounds__(Config::threads) mxfp4_kernel(const BlockScaledKernelArgs args) {
  begin_kernel();
  quantise_blocks<Config, Mxfp4<Config>>(args);
}

}  // namespace kerncast::quant
