#pragma once

#include "moe/shared/topk_gate_args.h"

namespace kerncast::moe {

using TopkSigmoidKernelArgs = TopkGateKernelArgs;

}  // namespace kerncast::moe
