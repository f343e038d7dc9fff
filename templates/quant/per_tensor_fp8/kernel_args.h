#pragma once

namespace kerncast::quant {

/// The kernels' argument. Strides are in elements.
struct PerTensorFp8KernelArgs {
  const void* x;
  void* q;
  const float* scale;  ///< static
  float* s;            ///< dynamic
  float* partial;      ///< dynamic: the largest magnitude of each block of the first stage
  long long rows;
  long long x_stride;
  long long q_stride;
};

}  // namespace kerncast::quant
