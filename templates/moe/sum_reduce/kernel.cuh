#pragma once

#include "moe/shared/weighted_sum.cuh"
#include "moe/sum_reduce/kernel_args.h"

namespace kerncast::moe {

template <class Config>
__global__ void __launch_bounds__(Config::threads) sum_reduce_kernel(const SumReduceKernelArgs args) {
  weighted_sum<Config, false>(args);
}

}  // namespace kerncast::moe
