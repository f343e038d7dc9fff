#pragma once

#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Unpacks the rows that quant.fp8_pack packs: y = float(e4m3) * s, rounded once. After FP8 Ulysses.
///
/// Asynchrony and lifetime: see kerncast/launch.hpp.
///
/// Aliasing: y may not overlap packed.
struct Fp8Unpack {
  static constexpr std::string_view op_name = "quant.fp8_unpack";

  TensorView packed;  ///< [..., D + 4], u8: D e4m3, then s as a little-endian f32; rows may be strided
  TensorView y;       ///< [..., D], D from 1 to 1024; bf16, f16 or f32; rows may be strided
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const Fp8Unpack& arguments);

}  // namespace kerncast::quant
