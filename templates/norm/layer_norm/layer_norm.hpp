#pragma once

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// y = (x - mean(x)) * rsqrt(mean((x - mean(x))^2) + eps) * weight + bias, per row.
struct LayerNorm {
  TensorView x;       ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView weight;  ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView bias;    ///< [H]; of weight's type where there is one; absent: no addition
  TensorView y;       ///< shape of x; bf16, f16 or f32; may be x itself
  float eps = 1e-6F;  ///< not negative
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& layer_norm_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call layer_norm_call(const LayerNorm& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void layer_norm(Runtime& runtime, const LayerNorm& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_layer_norm(Runtime& runtime, const LayerNorm& arguments);

}  // namespace kerncast::norm
