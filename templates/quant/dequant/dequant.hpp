#pragma once

#include <string_view>

#include <kerncast/ops/quant/dequant_scheme.h>
#include <kerncast/ops/scale_layout.h>
#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Inverts a quantisation: y = q * s, or y = q * s / g for nvfp4, rounded once from f32. The formats follow
/// OCP Microscaling Formats 1.0 and NVFP4 as cuBLAS defines it.
///
/// Asynchrony and lifetime: see kerncast/launch.hpp.
///
/// Aliasing: y may not overlap another tensor.
struct Dequant {
  static constexpr std::string_view op_name = "quant.dequant";

  /// [..., H], H up to 65536; fp8_e4m3, fp8_e5m2 or i8 (mxfp8: fp8 only). nvfp4 and mxfp4: [..., H / 2], u8.
  /// Rows may be strided.
  TensorView q;
  /// The scales, as the op that quantised wrote them. per_tensor: [1], f32. per_token: [..., 1], f32.
  /// per_token_group: f32 or packed i32, see `scale_layout` and `scale_format`. nvfp4: fp8_e4m3, mxfp4 and
  /// mxfp8: ue8m0, see `sf_layout`.
  TensorView s;
  TensorView y;                  ///< [..., H]; bf16, f16 or f32; rows may be strided
  TensorView global_scale = {};  ///< nvfp4: g, [1], f32; other schemes do not read it
  DequantScheme scheme = DequantScheme::per_token_group;
  int group = 128;                                    ///< per_token_group: 16, 32, 64 or 128
  ScaleLayout scale_layout = ScaleLayout::row_major;  ///< per_token_group
  ScaleFormat scale_format = ScaleFormat::f32;        ///< per_token_group
  SfLayout sf_layout = SfLayout::linear;              ///< nvfp4, mxfp4 and mxfp8
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const Dequant& arguments);

}  // namespace kerncast::quant
