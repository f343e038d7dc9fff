#pragma once

#include <kerncast/ops/activation/gated_arguments.hpp>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"

namespace kerncast::activation {

/// The op's definition in the registry: silu(gate) * up, silu(x) = x * sigmoid(x) (Shazeer 2020,
/// arXiv:2002.05202).
[[nodiscard]] KERNCAST_API const OpDefinition& silu_and_mul_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call silu_and_mul_call(const Gated& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void silu_and_mul(Runtime& runtime, const Gated& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_silu_and_mul(Runtime& runtime, const Gated& arguments);

}  // namespace kerncast::activation
