#pragma once

#include "device/programmatic_launch.cuh"
#include "norm/rms_norm/kernel_args.h"
#include "norm/shared/rms.cuh"

namespace kerncast::norm {

/// One row by threads / rows_per_block threads. y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads) rms_norm_kernel(const RmsNormKernelArgs args) {
  begin_kernel();
  const auto* weight = static_cast<const typename Config::weight_dtype*>(args.weight);
  normalise_row<Config, Config::hidden>(args, [&](auto& values, const Pair& scale, int column) {
    constexpr int width = sizeof(values) / sizeof(float);
    normalise_values<Config, width, sizeof(typename Config::y_dtype) == 4>(values, nullptr, weight + column,
                                                                           scale, args.weight_offset);
  });
}

}  // namespace kerncast::norm
