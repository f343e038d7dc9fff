#pragma once

namespace kerncast::quant {

/// Argument of both stages. Strides are in elements of their tensor.
struct PerTensorFp8KernelArgs {
  const void* x;
  void* q;
  const float* scale;  ///< static: the given scale
  float* s;            ///< dynamic: where the second stage writes the scale
  float* partial;      ///< dynamic: the largest magnitude that each block of the first stage found
  long long rows;
  long long x_stride;
  long long q_stride;
};

}  // namespace kerncast::quant
