#pragma once

#include <kerncast/ops/activation/gated_arguments.hpp>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"

namespace kerncast::activation {

/// y = gelu(gate) * up, gelu(x) = x * (1 + erf(x / sqrt(2))) / 2 (Shazeer 2020, arXiv:2002.05202).
using GeluAndMul = GatedArguments<"activation.gelu_and_mul">;

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const GeluAndMul& arguments);

}  // namespace kerncast::activation
