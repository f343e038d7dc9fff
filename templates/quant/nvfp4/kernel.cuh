#pragma once

#include "device/programmatic_launch.cuh"
#include "quant/shared/block_scaled.cuh"

namespace kerncast::quant {

struct Nvfp4 {
  static constexpr int block = 16;
  static constexpr bool fp4 = true;
  static constexpr bool global = true;
  template <int Count>
  __device__ __forceinline__ static Scale scale(float amax, float global_scale, float* values) {
    return nvfp4_scale<Count>(amax, global_scale, values);
  }
};

template <class Config>
__global__ void __launch_bounds__(Config::threads) nvfp4_kernel(const BlockScaledKernelArgs args) {
  begin_kernel();
  quantise_blocks<Config, Nvfp4, Config::experts>(args);
}

}  // namespace kerncast::quant
