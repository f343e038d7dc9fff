#pragma once

#include "comm/shared/exchange_args.h"

namespace kerncast::comm {

/// The kernel's argument. Strides are in elements.
struct AllReduceKernelArgs {
  const void* x;
  void* y;
  long long rows;
  long long x_stride;
  long long y_stride;
  ExchangeArgs exchange;
};

}  // namespace kerncast::comm
