#pragma once

#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Packs each row, one head of a token, as D e4m3 values followed by their scale, so that one all-to-all
/// carries both: s = max(amax(row), 1e-10) / 448, packed = e4m3(x / s), then s. After FP8 Ulysses.
///
/// Asynchrony and lifetime: see kerncast/launch.hpp.
///
/// Aliasing: packed may not overlap x.
struct Fp8Pack {
  static constexpr std::string_view op_name = "quant.fp8_pack";

  TensorView x;       ///< [..., D], D from 1 to 1024; bf16, f16 or f32; rows may be strided
  TensorView packed;  ///< [..., D + 4], u8: D e4m3, then s as a little-endian f32; rows may be strided
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const Fp8Pack& arguments);

}  // namespace kerncast::quant
