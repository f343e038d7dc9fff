#pragma once

namespace kerncast::quant {

/// Argument of the kernels that quantise each row with one scale. Strides are in elements of their tensor.
struct RowScaledKernelArgs {
  const void* x;
  void* q;
  float* s;
  long long rows;
  long long x_stride;
  long long q_stride;
  long long s_stride;
};

}  // namespace kerncast::quant
