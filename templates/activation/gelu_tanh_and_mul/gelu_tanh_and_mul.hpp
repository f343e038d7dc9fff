#pragma once

#include <kerncast/ops/activation/gated_arguments.hpp>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"

namespace kerncast::activation {

/// y = gelu(gate) * up, gelu(x) = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2 (Hendrycks and
/// Gimpel 2016, arXiv:1606.08415).
using GeluTanhAndMul = GatedArguments<"activation.gelu_tanh_and_mul">;

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const GeluTanhAndMul& arguments);

}  // namespace kerncast::activation
