#pragma once

#include <kerncast/ops/activation/gated_arguments.hpp>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"

namespace kerncast::activation {

/// y = silu(gate) * up, silu(x) = x * sigmoid(x) (Shazeer 2020, arXiv:2002.05202).
using SiluAndMul = GatedArguments<"activation.silu_and_mul">;

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const SiluAndMul& arguments);

}  // namespace kerncast::activation
