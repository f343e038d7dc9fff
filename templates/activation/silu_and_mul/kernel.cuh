#pragma once

#include "activation/shared/gated.cuh"
#include "device/programmatic_launch.cuh"

namespace kerncast::activation {

template <class Config>
__global__ void __launch_bounds__(Config::threads) silu_and_mul_kernel(const GatedKernelArgs args) {
  begin_kernel();
  gated_activation<Config, typename Choose<Config::limit, LimitedSiluAndMul, SiluAndMul>::type>(args);
}

}  // namespace kerncast::activation
