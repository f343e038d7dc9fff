#pragma once

#include <kerncast/ops/quant/per_token_arguments.hpp>
#include "kerncast/export.hpp"

namespace kerncast::quant {

/// Quantisation to fp8 with one scale per row (sgl-kernel per_token_quant_fp8). MAX = 448; NaN gives 0x7f.
using PerTokenFp8 = PerTokenArguments<"quant.per_token_fp8", DType::fp8_e4m3>;

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const PerTokenFp8& arguments);

}  // namespace kerncast::quant
