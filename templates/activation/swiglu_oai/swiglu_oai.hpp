#pragma once

#include <kerncast/ops/activation/gated_arguments.hpp>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"

namespace kerncast::activation {

/// The op's definition in the registry: (clamp(up, -7, 7) + 1) * g * sigmoid(1.702 * g), g = min(gate, 7)
/// (gpt-oss reference implementation).
[[nodiscard]] KERNCAST_API const OpDefinition& swiglu_oai_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call swiglu_oai_call(const Gated& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void swiglu_oai(Runtime& runtime, const Gated& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_swiglu_oai(Runtime& runtime, const Gated& arguments);

}  // namespace kerncast::activation
