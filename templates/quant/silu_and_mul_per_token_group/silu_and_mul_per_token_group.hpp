#pragma once

#include <string_view>

#include <kerncast/ops/scale_layout.h>
#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Computes y = silu(x[..., :H]) * x[..., H:] without rounding it, then quantises each group of `group`
/// neighbours of a row of y with its own scale: s = max(amax, 1e-10) / MAX, q = sat(y * (MAX / amax)), where
/// MAX is the largest magnitude of q's dtype. The ue8m0 formats round s up to a power of two and quantise
/// with the rounded scale. With a limit L gates become min(gate, L) and ups clamp(up, -L, L) first, as in
/// DeepSeek-V4 (silu_and_mul_masked_post_quant of sglang, jit/csrc/deepseek_v4). After the DeepSeek-V3
/// technical report (arXiv:2412.19437), and OCP Microscaling Formats 1.0 for ue8m0.
///
/// Asynchrony and lifetime: see kerncast/launch.hpp.
///
/// Aliasing: no output may overlap another tensor.
struct SiluAndMulPerTokenGroup {
  static constexpr std::string_view op_name = "quant.silu_and_mul_per_token_group";

  TensorView x;  ///< [..., 2 * H], H a multiple of group up to 65536; bf16, f16 or f32; rows may be strided
  TensorView q;  ///< [..., H]; fp8_e4m3, fp8_e5m2 or i8; rows may be strided
  /// [..., G], G = H / group, f32, with the strides of `scale_layout`, or packed as in PerTokenGroup. With a
  /// mask: [E, M, G], where the part of each expert has that layout.
  TensorView s;
  /// Optional, [E], i32, for x of shape [E, M, 2 * H]: only the first masked_m[e] rows of expert e are read
  /// and written, in q and in s.
  TensorView masked_m = {};
  int group = 128;  ///< 16, 32, 64 or 128
  ScaleLayout scale_layout = ScaleLayout::row_major;
  ScaleFormat scale_format = ScaleFormat::f32;  ///< packed_ue8m0 requires column_major_tma_aligned
  float limit = 0.0F;                           ///< L, positive and finite; 0: no limit
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const SiluAndMulPerTokenGroup& arguments);

}  // namespace kerncast::quant
