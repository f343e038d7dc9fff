#pragma once

namespace kerncast::norm {

/// Most blocks that sum. The workspace has two places for each.
inline constexpr int relative_l1_partials = 1024;
/// Vectors of a chunk, the unit in which the blocks share the tensors. The order of the sums follows it and
/// the number above, and no tunable.
inline constexpr int relative_l1_chunk = 512;

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
