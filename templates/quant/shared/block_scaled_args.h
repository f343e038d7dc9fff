#pragma once

namespace kerncast::quant {

/// The kernels' argument. Strides are in elements.
struct BlockScaledKernelArgs {
  const void* x;
  void* q;
  unsigned char* sf;
  const float* global_scale;
  const int* expert_offsets;  ///< first row of x of each expert, and the end of the last
  const int* sf_offsets;      ///< as much of sf, whose experts start at multiples of 128
  long long rows;
  long long sf_rows;  ///< of a swizzled sf, padding included
  long long x_stride;
  long long q_stride;
  long long sf_stride;  ///< of a linear sf
};

}  // namespace kerncast::quant
