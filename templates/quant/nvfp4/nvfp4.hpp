#pragma once

#include <string_view>

#include <kerncast/ops/scale_layout.h>
#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Quantises each block of 16 neighbours of a row to fp4 with an e4m3 scale under a global scale g:
/// sf = e4m3(g * amax / 6); q = e2m1(x * g / float(sf)), or 0 if sf is 0. After NVFP4 as cuBLAS and
/// TensorRT-LLM define it.
///
/// Asynchrony and lifetime: see kerncast/launch.hpp.
///
/// Aliasing: no output may overlap another tensor.
struct Nvfp4 {
  static constexpr std::string_view op_name = "quant.nvfp4";

  TensorView x;  ///< [..., H], H a multiple of 16 up to 65536; bf16, f16 or f32; rows may be strided
  TensorView global_scale;  ///< g: [1], f32; with expert_offsets [E], one per expert
  TensorView q;   ///< [..., H / 2], u8: two e2m1 each, the first in the low nibble; rows may be strided
  TensorView sf;  ///< fp8_e4m3; [..., H / 16] or swizzled, see `sf_layout`
  /// Optional, [E + 1], i32, ascending: expert e has rows expert_offsets[e] to expert_offsets[e + 1]. Rows
  /// that belong to no expert are not written.
  TensorView expert_offsets = {};
  /// With expert_offsets and a swizzled sf: [E + 1], i32, ascending multiples of 128. Row sf_offsets[e] of sf
  /// is the first row of expert e; padding is set to 0. sf may then have more rows, a multiple of 128.
  TensorView sf_offsets = {};
  SfLayout sf_layout = SfLayout::linear;
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const Nvfp4& arguments);

}  // namespace kerncast::quant
