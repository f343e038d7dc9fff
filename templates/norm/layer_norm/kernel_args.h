#pragma once

namespace kerncast::norm {

/// The kernel's argument. Strides are in elements.
struct LayerNormKernelArgs {
  const void* x;
  const void* weight;  ///< null if absent
  const void* bias;    ///< null if absent
  void* y;
  long long rows;
  long long x_stride;
  long long y_stride;
  float eps;
};

}  // namespace kerncast::norm
