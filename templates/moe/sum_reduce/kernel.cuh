#pragma once

#include "device/programmatic_launch.cuh"
#include "moe/shared/weighted_sum.cuh"

namespace kerncast::moe {

template <class Config>
__global__ void __launch_bounds__(Config::threads) sum_reduce_kernel(const WeightedSumKernelArgs args) {
  begin_kernel();
  weighted_sum<Config, Config::has_ids ? SlotRows::named : SlotRows::own>(args);
}

}  // namespace kerncast::moe
