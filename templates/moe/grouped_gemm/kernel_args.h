#pragma once

namespace kerncast::moe {

/// The argument of the kernel of grouped_gemm. Strides are in elements.
struct GroupedGemmKernelArgs {
  const void* a;
  const void* b;
  void* c;
  const int* sorted;
  const int* expert;
  const int* total;
  const float* weights;
  const float* a_scales;
  const void* b_scales;
  long long a_stride;
  long long b_expert_stride;
  long long b_stride;
  long long c_stride;
  long long a_scales_stride;  ///< 0 for one scale of all rows
  long long b_scales_expert_stride;
  long long b_scales_stride;        ///< 0 for one scale of all columns
  long long a_scales_group_stride;  ///< of ScaleForm::blocks, as is the next
  long long b_scales_group_stride;
  const void* bias;
  long long bias_expert_stride;
  float limit;  ///< of gates and ups
  float alpha;
  int slots;   ///< rows of c
  int places;  ///< elements of sorted
};

}  // namespace kerncast::moe
