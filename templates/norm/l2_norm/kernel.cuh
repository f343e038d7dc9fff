#pragma once

#include "device/programmatic_launch.cuh"
#include "norm/l2_norm/kernel_args.h"
#include "norm/shared/rms.cuh"

namespace kerncast::norm {

/// One row by threads / rows_per_block threads. y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads) l2_norm_kernel(const L2NormKernelArgs args) {
  begin_kernel();
  // A mean over one element is the sum.
  normalise_row<Config, 1>(args, [](auto& values, const Pair& scale, int) {
    for (float& value : values) {
      value = fmaf(value, scale.value, value * scale.rest);
    }
  });
}

}  // namespace kerncast::norm
