#pragma once

#include "moe/shared/topk_gate_args.h"

namespace kerncast::moe {

using TopkSoftmaxKernelArgs = TopkGateKernelArgs;

}  // namespace kerncast::moe
