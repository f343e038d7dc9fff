#pragma once

#include "device/programmatic_launch.cuh"
#include "quant/shared/block_scaled.cuh"

namespace kerncast::quant {

template <class Config>
struct Mxfp8 {
  using Q = typename Config::q_dtype;
  static constexpr int block = 32;
  static constexpr bool global = false;
  static constexpr bool fp4 = false;
  template <int Count>
  __device__ __forceinline__ static Scale scale(float amax, float, const float*) {
    // The second argument is the exponent of the largest value: 448 = 1.75 * 2^8, 57344 = 1.75 * 2^15.
    return mx_scale < Config::ocp_floor, max_of<Q> == 448.0f ? 8 : 15 > (amax, max_of<Q>);
  }
};

template <class Config>
__global__ void __launch_bounds__(Config::threads) mxfp8_kernel(const BlockScaledKernelArgs args) {
  begin_kernel();
  quantise_blocks<Config, Mxfp8<Config>>(args);
}

}  // namespace kerncast::quant
