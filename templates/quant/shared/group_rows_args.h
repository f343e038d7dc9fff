#pragma once

namespace kerncast::quant {

/// The kernels' argument. Strides are in elements of their tensor.
struct GroupRowsKernelArgs {
  const void* x;
  void* q;
  void* s;
  const int* masked_m;    ///< rows of each expert that count; unused where there is no mask
  long long rows;         ///< of each expert
  long long padded_rows;  ///< rows whose scales are written: rows, or that rounded up to 4 to clear padding
  long long x_stride;
  long long q_stride;
  long long s_stride;  ///< along the dimension of s that is not contiguous
  long long x_expert_stride;
  long long q_expert_stride;
  long long s_expert_stride;
};

}  // namespace kerncast::quant
