#pragma once

#include "moe/sum_reduce_args.h"
#include "moe/weighted_sum.cuh"

namespace kerncast::moe {

template <class Config>
__global__ void __launch_bounds__(Config::threads) sum_reduce_kernel(const SumReduceKernelArgs args) {
  weighted_sum<Config, false>(args);
}

}  // namespace kerncast::moe
