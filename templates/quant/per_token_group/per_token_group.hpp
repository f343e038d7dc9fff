#pragma once

#include <kerncast/ops/scale_layout.h>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Quantises every group of `group` neighbours of a row with a scale of its own: s = max(amax, 1e-10) / MAX,
/// q = sat(x * (MAX / amax)). Power-of-two formats round s up and quantise with the rounded scale.
struct PerTokenGroup {
  TensorView x;  ///< [..., H], H a multiple of group; bf16, f16 or f32; rows may be strided
  TensorView q;  ///< shape of x; fp8_e4m3, fp8_e5m2 or i8
  /// [..., G], G = H / group, f32, with the strides of `layout`. packed_ue8m0: [T, ceil(G / 4)] i32 with
  /// strides (1, T rounded up to 4), whose storage extends to the full last column; all bytes past T and G
  /// are set to 0.
  TensorView s;
  int group = 128;  ///< 16, 32, 64 or 128
  ScaleLayout layout = ScaleLayout::row_major;
  ScaleFormat format = ScaleFormat::f32;  ///< packed_ue8m0 goes with column_major_tma_aligned only
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& per_token_group_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call per_token_group_call(const PerTokenGroup& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void per_token_group(Runtime& runtime, const PerTokenGroup& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_per_token_group(Runtime& runtime,
                                                                  const PerTokenGroup& arguments);

}  // namespace kerncast::quant
