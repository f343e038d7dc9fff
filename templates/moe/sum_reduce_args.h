#pragma once

#include "moe/weighted_sum_args.h"

namespace kerncast::moe {

using SumReduceKernelArgs = WeightedSumKernelArgs;

}  // namespace kerncast::moe
