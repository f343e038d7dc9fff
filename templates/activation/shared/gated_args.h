#pragma once

namespace kerncast::activation {

/// The argument of the kernels of all gated activations. Strides are in elements.
struct GatedKernelArgs {
  const void* x;
  void* y;
  const int* masked_m;  ///< rows of each expert that count; unused without a mask
  long long rows;       ///< rows of each expert; all rows without a mask
  long long x_stride;
  long long y_stride;
  long long x_expert_stride;
  long long y_expert_stride;
  float limit;  ///< of the activations with limits
  float alpha;  ///< of swiglu_oai
};

}  // namespace kerncast::activation
