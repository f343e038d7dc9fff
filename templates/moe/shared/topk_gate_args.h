#pragma once

namespace kerncast::moe {

/// The argument of the kernels topk_softmax and topk_sigmoid. Strides are in elements.
struct TopkGateKernelArgs {
  const void* logits;
  const void* bias;
  float* weights;
  int* ids;
  const int* num_token_non_padded;  ///< null if no row is padding
  long long rows;
  long long logits_stride;
  long long weights_stride;
  long long ids_stride;
  double softcap;
  double inverse_softcap;
};

}  // namespace kerncast::moe
