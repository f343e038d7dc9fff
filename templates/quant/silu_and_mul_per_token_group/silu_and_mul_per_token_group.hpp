#pragma once

#include <kerncast/ops/scale_layout.h>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// y = silu(x[..., :H]) * x[..., H:], not rounded, then every group of `group` neighbours of a row of y
/// quantised with a scale of its own: s = max(amax, 1e-10) / MAX, q = sat(y * (MAX / amax)). Power-of-two
/// formats round s up and quantise with the rounded scale.
struct SiluAndMulPerTokenGroup {
  TensorView x;  ///< [..., 2 * H], H a multiple of group; bf16, f16 or f32; rows may be strided
  TensorView q;  ///< [..., H]; fp8_e4m3, fp8_e5m2 or i8; rows may be strided
  /// [..., G], G = H / group, f32, with the strides of `layout`, or packed, as of PerTokenGroup; under a mask
  /// [E, M, G], in which each expert's part has that layout.
  TensorView s;
  /// Optional, [E] i32, with x [E, M, 2 * H]: only the first masked_m[e] rows of each expert are read and
  /// written, q and s alike.
  TensorView masked_m = {};
  int group = 128;  ///< 16, 32, 64 or 128
  ScaleLayout layout = ScaleLayout::row_major;
  ScaleFormat format = ScaleFormat::f32;  ///< packed_ue8m0 goes with column_major_tma_aligned only
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& silu_and_mul_per_token_group_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call silu_and_mul_per_token_group_call(const SiluAndMulPerTokenGroup& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void silu_and_mul_per_token_group(Runtime& runtime, const SiluAndMulPerTokenGroup& arguments,
                                               Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch
prepare_silu_and_mul_per_token_group(Runtime& runtime, const SiluAndMulPerTokenGroup& arguments);

}  // namespace kerncast::quant
