#pragma once

namespace kerncast::norm {

/// The kernel's argument. Strides are in elements.
struct GatedRmsNormKernelArgs {
  const void* x;
  const void* z;
  const void* weight;  ///< null if absent
  void* y;
  long long rows;
  long long x_stride;
  long long z_stride;
  long long y_stride;
  float eps;
  float weight_offset;
};

}  // namespace kerncast::norm
