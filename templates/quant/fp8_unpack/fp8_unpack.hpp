#pragma once

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// The inverse of fp8_pack: y = float(e4m3) * s.
struct Fp8Unpack {
  TensorView packed;  ///< [..., D + 4], u8: D e4m3, then s as a little-endian f32; rows may be strided
  TensorView y;       ///< [..., D], D up to 1024; bf16, f16 or f32; rows may be strided
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& fp8_unpack_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call fp8_unpack_call(const Fp8Unpack& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void fp8_unpack(Runtime& runtime, const Fp8Unpack& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_fp8_unpack(Runtime& runtime, const Fp8Unpack& arguments);

}  // namespace kerncast::quant
