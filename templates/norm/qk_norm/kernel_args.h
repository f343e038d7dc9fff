#pragma once

namespace kerncast::norm {

/// The kernel's argument. Strides are in elements.
struct QkNormKernelArgs {
  void* qkv;
  const void* q_weight;
  const void* k_weight;
  long long tokens;
  long long token_stride;
  long long head_stride;
  float eps;
};

}  // namespace kerncast::norm
