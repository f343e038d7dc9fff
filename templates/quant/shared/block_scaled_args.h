#pragma once

namespace kerncast::quant {

/// Argument of the kernels that quantise rows by blocks. Strides are in elements of their tensor.
struct BlockScaledKernelArgs {
  const void* x;
  void* q;
  unsigned char* sf;
  const float* global_scale;
  const int* expert_offsets;  ///< first row of each expert in x, then the end of the last expert
  const int* sf_offsets;      ///< first row of each expert in a swizzled sf, a multiple of 128, then the end
  long long rows;
  long long sf_rows;  ///< rows of a swizzled sf, including padding
  long long x_stride;
  long long q_stride;
  long long sf_stride;  ///< row stride of a linear sf
};

}  // namespace kerncast::quant
