#pragma once

#include "comm/shared/exchange_args.h"

namespace kerncast::comm {

/// The kernel's argument. Strides are in elements.
struct AllReduceAddRmsNormKernelArgs {
  const void* x;
  void* residual;
  const void* weight;  ///< null if absent
  void* y;
  long long rows;
  long long x_stride;
  long long residual_stride;
  long long y_stride;
  float eps;
  float weight_offset;
  ExchangeArgs exchange;
};

}  // namespace kerncast::comm
