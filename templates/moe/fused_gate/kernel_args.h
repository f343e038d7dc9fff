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
  double factor;  ///< routed_scaling_factor where it is applied to the output, else its inverse, for shared
                  ///< experts
};

}  // namespace kerncast::moe
