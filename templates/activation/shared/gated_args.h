#pragma once

namespace kerncast::activation {

/// The kernels' argument. Strides are in elements.
struct GatedKernelArgs {
  const void* x;
  void* y;
  const int* masked_m;  ///< rows of each expert that count; unused where there is no mask
  long long rows;       ///< of each expert
  long long x_stride;
  long long y_stride;
  long long x_expert_stride;
  long long y_expert_stride;
};

}  // namespace kerncast::activation
