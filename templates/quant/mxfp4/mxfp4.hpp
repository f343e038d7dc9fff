#pragma once

#include <string_view>

#include <kerncast/ops/scale_layout.h>
#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Quantises each block of 32 neighbours of a row to fp4 with a power-of-two scale: sf = 2^ceil(log2(amax /
/// 6)), or with ocp_floor 2^(floor(log2(amax)) - 2); q = e2m1(x / sf). After OCP Microscaling Formats 1.0.
///
/// Asynchrony and lifetime: see kerncast/launch.hpp.
///
/// Aliasing: no output may overlap another tensor.
struct Mxfp4 {
  static constexpr std::string_view op_name = "quant.mxfp4";

  TensorView x;   ///< [..., H], H a multiple of 32 up to 65536; bf16, f16 or f32; rows may be strided
  TensorView q;   ///< [..., H / 2], u8: two e2m1 each, the first in the low nibble; rows may be strided
  TensorView sf;  ///< ue8m0; [..., H / 32] or swizzled, see `sf_layout`
  SfLayout sf_layout = SfLayout::linear;
  bool ocp_floor = false;  ///< take the exponent of the scale from floor(log2(amax)), as in OCP MX 1.0
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const Mxfp4& arguments);

}  // namespace kerncast::quant
