#pragma once

namespace kerncast::norm {

/// The roundings between a row and y. Those of eager torch: a norm gives the dtype that is named below, and
/// each later operator (1 + scale, its product with the norm, + shift; gate * x, + residual) computes in f32
/// and rounds to the dtype to which torch promotes its operands: theirs if it is one, else f32. A gated sum
/// is rounded to the dtype of r before it is normalised. Kernels read this header too.
enum class AtenRounding : unsigned char {
  none,  ///< everything in f32, y rounded once
  /// The norm, with weight and bias, is one operator, whose result has the dtype of the row: nn.LayerNorm,
  /// FP32LayerNorm of diffusers, F.rms_norm.
  rounded_norm,
  /// The norm, with weight and bias, gives f32: FP32LayerNorm of x.float().
  f32_norm,
  /// x * rsqrt(...), its product with weight, and the sum with bias are each rounded to the dtype of weight,
  /// or of the row if there is no weight: RMSNorm of diffusers.
  split_norm,
};

}  // namespace kerncast::norm
