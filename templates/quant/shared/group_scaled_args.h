#pragma once

namespace kerncast::quant {

/// Argument of the kernels that quantise rows by groups. Strides are in elements of their tensor.
struct GroupScaledKernelArgs {
  const void* x;
  void* q;
  void* s;
  const int* masked_m;    ///< counted rows of each expert; unused without a mask
  long long rows;         ///< of each expert, or of x without a mask
  long long padded_rows;  ///< rows whose scales are written: rows, or rows rounded up to 4 to clear padding
  long long x_stride;
  long long q_stride;
  long long s_stride;  ///< along the dimension of s that is not contiguous
  long long x_expert_stride;
  long long q_expert_stride;
  long long s_expert_stride;
  float limit;  ///< of gates and ups; unused without
};

}  // namespace kerncast::quant
