#pragma once

#include <kerncast/ops/activation/gated_arguments.hpp>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"

namespace kerncast::activation {

/// The op's definition in the registry: gelu(gate) * up, gelu(x) = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715
/// * x^3))) / 2 (Hendrycks and Gimpel 2016, arXiv:1606.08415).
[[nodiscard]] KERNCAST_API const OpDefinition& gelu_tanh_and_mul_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call gelu_tanh_and_mul_call(const Gated& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void gelu_tanh_and_mul(Runtime& runtime, const Gated& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_gelu_tanh_and_mul(Runtime& runtime, const Gated& arguments);

}  // namespace kerncast::activation
