#pragma once

#include "moe/shared/weighted_sum_args.h"

namespace kerncast::moe {

using SumReduceKernelArgs = WeightedSumKernelArgs;

}  // namespace kerncast::moe
