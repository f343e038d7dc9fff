#pragma once

namespace kerncast::quant {

/// The kernels' argument. Strides are in elements of their tensor.
struct PerTokenKernelArgs {
  const void* x;
  void* q;
  float* s;
  long long rows;
  long long x_stride;
  long long q_stride;
  long long s_stride;
};

}  // namespace kerncast::quant
