#pragma once

#include <cstdint>

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

enum class RowNorm : std::uint8_t {
  layer,  ///< (x - m) * rsqrt(mean((x - m)^2) + eps), m = mean(x)
  rms,    ///< x * rsqrt(mean(x^2) + eps)
};

/// y = (norm(x) * weight + bias) * (1 + scale) + shift, per row: adaptive layer normalisation.
///
/// scale and shift are spread over the T rows of x by their shape: [1] is one value, [1, H] or [H] one row
/// for all, [N, H] one for each T / N consecutive rows (N batches, or batches times frames as [B, F, H]), [T,
/// H] one for each. Their rows may be strided, as those of a chunk are.
struct ScaleShift {
  TensorView x;       ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView scale;   ///< bf16, f16 or f32
  TensorView shift;   ///< scale's dtype
  TensorView y;       ///< shape of x; bf16, f16 or f32; may be x itself
  TensorView weight;  ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView bias;    ///< [H], weight's dtype; absent: nothing is added
  float eps = 1e-6F;  ///< not negative
  RowNorm norm = RowNorm::layer;
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& scale_shift_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call scale_shift_call(const ScaleShift& arguments);

/// Launches on `stream`. No rows: success without a launch. Throws Error.
KERNCAST_API void scale_shift(Runtime& runtime, const ScaleShift& arguments, Stream stream);

/// Resolves the kernel and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_scale_shift(Runtime& runtime, const ScaleShift& arguments);

}  // namespace kerncast::norm
