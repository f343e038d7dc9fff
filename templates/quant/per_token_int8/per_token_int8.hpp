#pragma once

#include <kerncast/ops/quant/per_token_arguments.hpp>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"

namespace kerncast::quant {

/// The op's definition in the registry: one scale per row, MAX = 127.
[[nodiscard]] KERNCAST_API const OpDefinition& per_token_int8_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call per_token_int8_call(const PerToken& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void per_token_int8(Runtime& runtime, const PerToken& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_per_token_int8(Runtime& runtime, const PerToken& arguments);

}  // namespace kerncast::quant
