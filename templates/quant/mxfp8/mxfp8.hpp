#pragma once

#include <string_view>

#include <kerncast/ops/scale_layout.h>
#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Quantises each block of 32 neighbours of a row to fp8 with a power-of-two scale: sf = 2^ceil(log2(amax /
/// MAX)), or with ocp_floor 2^(floor(log2(amax)) - emax); q = sat(x / sf), where MAX = 448 and emax = 8 for
/// e4m3, 57344 and 15 for e5m2. After OCP Microscaling Formats 1.0.
///
/// Asynchrony and lifetime: see kerncast/launch.hpp.
///
/// Aliasing: no output may overlap another tensor.
struct Mxfp8 {
  static constexpr std::string_view op_name = "quant.mxfp8";

  TensorView x;   ///< [..., H], H a multiple of 32 up to 65536; bf16, f16 or f32; rows may be strided
  TensorView q;   ///< shape of x; fp8_e4m3 or fp8_e5m2; rows may be strided
  TensorView sf;  ///< ue8m0; [..., H / 32] or swizzled, see `sf_layout`
  SfLayout sf_layout = SfLayout::linear;
  bool ocp_floor = false;  ///< take the exponent of the scale from floor(log2(amax)), as in OCP MX 1.0
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const Mxfp8& arguments);

}  // namespace kerncast::quant
