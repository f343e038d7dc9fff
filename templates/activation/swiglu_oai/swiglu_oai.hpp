#pragma once

#include <kerncast/ops/activation/gated_arguments.hpp>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"

namespace kerncast::activation {

/// y = (clamp(up, -7, 7) + 1) * g * sigmoid(1.702 * g), g = min(gate, 7) (the reference implementation of
/// gpt-oss).
using SwigluOai = GatedArguments<"activation.swiglu_oai">;

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const SwigluOai& arguments);

}  // namespace kerncast::activation
