#pragma once

namespace kerncast::quant {

/// The kernel's argument. Strides are in elements of their tensor.
struct DequantKernelArgs {
  const void* q;
  const void* s;
  const float* global_scale;
  void* y;
  long long rows;
  long long sf_rows;  ///< of swizzled scales, padding included
  long long q_stride;
  long long sf_stride;  ///< of scales, along the dimension that is not contiguous
  long long y_stride;
};

}  // namespace kerncast::quant
