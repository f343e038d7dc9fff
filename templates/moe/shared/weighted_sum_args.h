#pragma once

namespace kerncast::moe {

/// The argument of the kernels sum_reduce and unpermute. Strides are in elements.
struct WeightedSumKernelArgs {
  const void* x;
  const float* weights;
  const void* addend;
  const int* map;         ///< unpermute: the row of each slot; sum_reduce: the id of each slot
  const int* expert_map;  ///< [expert_map_size]: the expert of each id
  void* y;
  long long rows;
  long long x_rows;  ///< with a map: rows of x
  long long x_stride;
  long long x_slot_stride;  ///< from one slot of a token to the next
  long long weights_stride;
  long long addend_stride;
  long long map_stride;
  long long y_stride;
  float factor;
  int expert_map_size;
};

}  // namespace kerncast::moe
