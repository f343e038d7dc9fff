#pragma once

namespace kerncast::norm {

/// Most blocks that sum. The workspace has two places for each.
inline constexpr int relative_l1_partials = 1024;

/// The kernels' argument. Strides are in elements.
struct RelativeL1KernelArgs {
  const void* a;
  const void* b;
  float* d;
  double* workspace;
  long long rows;
  long long a_stride;
  long long b_stride;
};

}  // namespace kerncast::norm
