#pragma once

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Rows, of a token and a head each, as D e4m3 and their scale: one all-to-all then carries both (FP8
/// Ulysses).
struct Fp8Pack {
  TensorView x;  ///< [..., D], D up to 1024; bf16, f16 or f32; rows may be strided
  TensorView
      packed;  ///< [..., D + 4], u8: e4m3(x / s), then s = max(amax(row), 1e-10) / 448 as a little-endian f32
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& fp8_pack_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call fp8_pack_call(const Fp8Pack& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void fp8_pack(Runtime& runtime, const Fp8Pack& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_fp8_pack(Runtime& runtime, const Fp8Pack& arguments);

}  // namespace kerncast::quant
