#pragma once

#include <cstdint>
#include <string_view>

#include <kerncast/ops/norm/aten_rounding.h>
#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

enum class RowNorm : std::uint8_t {
  layer,  ///< (x - m) * rsqrt(mean((x - m)^2) + eps), m = mean(x)
  rms,    ///< x * rsqrt(mean(x^2) + eps)
};

/// Adaptive layer normalisation (Peebles and Xie 2022, arXiv:2212.09748):
/// y = (norm(x) * weight + bias) * (1 + scale) + shift, per row.
///
/// The shape of scale and shift tells how they are spread over the T rows of x: [1] is one value, [1, H] or
/// [H] one row for all, [N, H] one row for each T / N consecutive rows (N batches, or batches times frames as
/// [B, F, H]), [T, H] one row for each. Their rows may be strided, as those of a chunk are. Launch with
/// kerncast::launch or prepare, which say what is asynchronous and what must live how long. Aliasing: y may
/// be x itself.
///
/// aten_rounding gives the bits of eager torch in 16-bit types, as far as mean and mean square agree. These
/// modules round so:
/// - rounded_norm: AdaLayerNorm, AdaLayerNormZero, AdaLayerNormZeroSingle, SD35AdaLayerNormZeroX,
///   CogVideoXLayerNormZero and, with norm_type "layer_norm", AdaLayerNormContinuous of diffusers
///   (models/normalization.py); QwenImageTransformerBlock._modulate; modulate_value of sglang
///   (jit/csrc/diffusion/modulate_scale_shift.cuh).
/// - f32_norm, with scale and shift in f32: WanTransformerBlock of diffusers. With scale and shift in x's
///   dtype: fused_ln_modulate of sglang (kernels/ops/diffusion/sites/fused_ln_modulate_site.py).
/// - split_norm: LuminaRMSNormZero and, with norm_type "rms_norm", AdaLayerNormContinuous of diffusers.
struct ScaleShift {
  static constexpr std::string_view op_name = "norm.scale_shift";

  TensorView x;            ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView scale;        ///< bf16, f16 or f32; absent: 0, so that nothing is scaled
  TensorView shift;        ///< scale's dtype; absent: nothing is added
  TensorView y;            ///< shape of x; bf16, f16 or f32; may be x itself
  TensorView weight = {};  ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView bias = {};    ///< [H], weight's dtype; absent: nothing is added
  float eps = 1e-6F;       ///< not negative
  RowNorm norm = RowNorm::layer;
  AtenRounding aten_rounding = AtenRounding::none;  ///< others need y in bf16 or f16; split_norm needs rms
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const ScaleShift& arguments);

}  // namespace kerncast::norm
