#pragma once

#include <kerncast/ops/quant/dequant_scheme.h>
#include <kerncast/ops/scale_layout.h>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// The inverse of quantisation: y = q * s, and for nvfp4 y = q * s / g.
struct Dequant {
  TensorView
      q;  ///< [..., H], fp8_e4m3, fp8_e5m2 or i8 (mxfp8: fp8); fp4: [..., H / 2], u8; rows may be strided
  /// The scales as the op that quantised left them: [1] f32; [..., 1] f32; f32 or packed i32 as `layout` and
  /// `format` have it; fp8_e4m3 (nvfp4) or ue8m0 (mxfp4, mxfp8) as `sf_layout` has it.
  TensorView s;
  TensorView y;                  ///< [..., H]; bf16, f16 or f32; rows may be strided
  TensorView global_scale = {};  ///< nvfp4: g, [1], f32
  DequantScheme scheme = DequantScheme::per_token_group;
  int group = 128;                              ///< per_token_group: 16, 32, 64 or 128
  ScaleLayout layout = ScaleLayout::row_major;  ///< per_token_group
  ScaleFormat format = ScaleFormat::f32;        ///< per_token_group
  SfLayout sf_layout = SfLayout::linear;        ///< nvfp4, mxfp4, mxfp8
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& dequant_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call dequant_call(const Dequant& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void dequant(Runtime& runtime, const Dequant& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_dequant(Runtime& runtime, const Dequant& arguments);

}  // namespace kerncast::quant
