#pragma once

namespace kerncast::moe {

/// A positive number, (value + rest) * 2^exponent, its value from 0.5 to 1.
struct GateFactor {
  float value;
  float rest;
  int exponent;
};

/// The argument of the kernel of fused_gate. Strides are in elements.
struct FusedGateKernelArgs {
  const void* logits;
  const void* bias;
  float* weights;
  int* ids;
  const int* num_token_non_padded;  ///< null if no row is padding
  long long rows;
  long long logits_stride;
  long long weights_stride;
  long long ids_stride;
  /// routed_scaling_factor if it is applied to the output, else its inverse, for the shared experts.
  GateFactor factor;
};

}  // namespace kerncast::moe
