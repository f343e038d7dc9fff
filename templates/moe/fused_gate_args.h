#pragma once

namespace kerncast::moe {

/// The kernel's argument. Strides are in elements.
struct FusedGateKernelArgs {
  const void* logits;
  const void* bias;
  float* weights;
  int* ids;
  long long rows;
  long long logits_stride;
  long long weights_stride;
  long long ids_stride;
  double routed_factor;  ///< of every routed weight: routed_scaling_factor where it is applied, else 1
  double shared_factor;  ///< of the routed weights' sum, in the slots of shared experts
};

}  // namespace kerncast::moe
