#pragma once

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Quantises a tensor with one scale, q = sat(x / s): static where `scale` is given, else dynamic,
/// s = max(amax(x), 1e-10) / 448, in two launches.
struct PerTensorFp8 {
  TensorView x;           ///< [..., H]; bf16, f16 or f32; rows may be strided
  TensorView q;           ///< shape of x; fp8_e4m3; rows may be strided
  TensorView scale = {};  ///< static: [1], f32, a positive normal number
  TensorView s = {};      ///< dynamic: [1], f32, written
  /// Dynamic: [per_tensor_fp8_workspace_elements], f32, overwritten; calls on different streams need their
  /// own.
  TensorView workspace = {};
};

/// Elements of PerTensorFp8::workspace.
inline constexpr std::int64_t per_tensor_fp8_workspace_elements = 1024;

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& per_tensor_fp8_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call per_tensor_fp8_call(const PerTensorFp8& arguments);

/// Launches on `stream`. No rows: success without a launch, and s is left as it is. Throws Error.
KERNCAST_API void per_tensor_fp8(Runtime& runtime, const PerTensorFp8& arguments, Stream stream);

/// Resolves the kernels and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_per_tensor_fp8(Runtime& runtime,
                                                                 const PerTensorFp8& arguments);

}  // namespace kerncast::quant
