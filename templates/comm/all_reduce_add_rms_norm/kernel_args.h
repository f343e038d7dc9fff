#pragma once

#include "comm/shared/exchange_args.h"
#include "norm/shared/added_rms/added_rms_args.h"

namespace kerncast::comm {

/// The kernel's argument.
struct AllReduceAddRmsNormKernelArgs {
  norm::AddedRmsArgs norm;
  ExchangeArgs exchange;
};

}  // namespace kerncast::comm
