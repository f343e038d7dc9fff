#pragma once

#include <kerncast/ops/scale_layout.h>
#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Quantises every block of 32 neighbours of a row: sf = 2^ceil(log2(amax / MAX)), or by ocp_floor
/// 2^(floor(log2(amax)) - emax), q = sat(x / sf); MAX = 448 and emax = 8 for e4m3, 57344 and 15 for e5m2.
struct Mxfp8 {
  TensorView x;   ///< [..., H], H a multiple of 32; bf16, f16 or f32; rows may be strided
  TensorView q;   ///< shape of x; fp8_e4m3 or fp8_e5m2; rows may be strided
  TensorView sf;  ///< ue8m0, [..., H / 32] or swizzled, as `layout` has it
  SfLayout layout = SfLayout::linear;
  bool ocp_floor = false;
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& mxfp8_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call mxfp8_call(const Mxfp8& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void mxfp8(Runtime& runtime, const Mxfp8& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_mxfp8(Runtime& runtime, const Mxfp8& arguments);

}  // namespace kerncast::quant
