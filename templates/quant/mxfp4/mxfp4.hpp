#pragma once

#include <kerncast/ops/scale_layout.h>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Quantises every block of 32 neighbours of a row: sf = 2^ceil(log2(amax / 6)), or by ocp_floor
/// 2^(floor(log2(amax)) - 2), q = e2m1(x / sf).
struct Mxfp4 {
  TensorView x;   ///< [..., H], H a multiple of 32; bf16, f16 or f32; rows may be strided
  TensorView q;   ///< [..., H / 2], u8: two e2m1 each, the first in the low nibble; rows may be strided
  TensorView sf;  ///< ue8m0, [..., H / 32] or swizzled, as `layout` has it
  SfLayout layout = SfLayout::linear;
  bool ocp_floor = false;
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& mxfp4_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call mxfp4_call(const Mxfp4& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void mxfp4(Runtime& runtime, const Mxfp4& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_mxfp4(Runtime& runtime, const Mxfp4& arguments);

}  // namespace kerncast::quant
