#pragma once

namespace kerncast::norm {

/// The kernel's argument. Strides are in elements.
struct L2NormKernelArgs {
  const void* x;
  void* y;
  long long rows;
  long long x_stride;
  long long y_stride;
  float eps;
};

}  // namespace kerncast::norm
