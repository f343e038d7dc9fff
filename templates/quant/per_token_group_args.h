#pragma once

namespace kerncast::quant {

/// The kernel's argument. Strides are in elements of their tensor.
struct PerTokenGroupKernelArgs {
  const void* x;
  void* q;
  void* s;
  long long rows;
  long long
      padded_rows;  ///< rows whose scales are written: rows, or that rounded up to 4 where padding is cleared
  long long x_stride;
  long long q_stride;
  long long s_stride;  ///< along the dimension of s that is not contiguous
};

}  // namespace kerncast::quant
