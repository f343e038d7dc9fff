#pragma once

#include <kerncast/ops/scale_layout.h>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Quantises every block of 16 neighbours of a row: sf = e4m3(g * amax / 6), q = e2m1(x * g / float(sf)), 0
/// where sf is 0.
struct Nvfp4 {
  TensorView x;             ///< [..., H], H a multiple of 16; bf16, f16 or f32; rows may be strided
  TensorView global_scale;  ///< g: [1], f32; with expert_offsets [E], one per expert
  TensorView q;   ///< [..., H / 2], u8: two e2m1 each, the first in the low nibble; rows may be strided
  TensorView sf;  ///< fp8_e4m3, [..., H / 16] or swizzled, as `layout` has it
  /// Optional, [E + 1] i32, ascending: expert e has rows expert_offsets[e] to expert_offsets[e + 1]. Rows of
  /// no expert are left alone.
  TensorView expert_offsets = {};
  /// With expert_offsets and a swizzled sf: [E + 1] i32, ascending multiples of 128: the row of sf that
  /// expert e's rows start at; padding is set to 0. sf then has any multiple of 128 rows that they need.
  TensorView sf_offsets = {};
  SfLayout layout = SfLayout::linear;
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& nvfp4_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call nvfp4_call(const Nvfp4& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void nvfp4(Runtime& runtime, const Nvfp4& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_nvfp4(Runtime& runtime, const Nvfp4& arguments);

}  // namespace kerncast::quant
