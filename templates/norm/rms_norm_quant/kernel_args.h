#pragma once

namespace kerncast::norm {

/// The argument of the norms that quantise. Strides are in elements.
struct RmsNormQuantKernelArgs {
  const void* x;
  void* residual;      ///< null if nothing is added
  const void* weight;  ///< null if there is no weight
  void* y;             ///< null if only the quantised values are wanted
  void* q;
  void* s;             ///< null under a static scale
  const float* scale;  ///< the static or the global scale, or null
  long long rows;
  long long padded_rows;  ///< rows whose scales are written: rows, or that rounded up to 4 or to 128
  long long x_stride;
  long long residual_stride;
  long long y_stride;
  long long q_stride;
  long long s_stride;  ///< along the dimension of s that is not contiguous; unused if swizzled
  float eps;
  float weight_offset;
};

}  // namespace kerncast::norm
