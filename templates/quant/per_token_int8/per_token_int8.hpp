#pragma once

#include <kerncast/ops/quant/per_token_arguments.hpp>
#include "kerncast/export.hpp"

namespace kerncast::quant {

/// Quantisation to int8 with one scale per row, MAX = 127; NaN gives 0. After sgl-kernel's
/// per_token_quant_int8, but rounded to nearest even.
using PerTokenInt8 = PerTokenArguments<"quant.per_token_int8", DType::i8>;

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const PerTokenInt8& arguments);

}  // namespace kerncast::quant
