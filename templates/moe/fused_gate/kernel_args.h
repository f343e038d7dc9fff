#pragma once

namespace kerncast::moe {

/// The argument of the kernel of fused_gate. Strides are in elements.
struct FusedGateKernelArgs {
  const void* logits;
  const void* bias;
  float* weights;
  int* ids;
  long long rows;
  long long logits_stride;
  long long weights_stride;
  long long ids_stride;
  /// routed_scaling_factor if it is applied to the output, else its inverse, for the shared experts.
  double factor;
};

}  // namespace kerncast::moe
