#pragma once

namespace kerncast::quant {

/// Argument of dequant_kernel. Strides are in elements of their tensor.
struct DequantKernelArgs {
  const void* q;
  const void* s;
  const float* global_scale;
  void* y;
  long long rows;
  long long sf_rows;  ///< rows of swizzled scales, including padding
  long long q_stride;
  long long sf_stride;  ///< stride of the scales along the dimension that is not contiguous
  long long y_stride;
};

}  // namespace kerncast::quant
