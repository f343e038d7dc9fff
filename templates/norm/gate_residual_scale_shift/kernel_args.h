#pragma once

#include "norm/scale_shift/kernel_args.h"

namespace kerncast::norm {

/// The kernel's argument. Strides are in elements.
struct GateResidualScaleShiftKernelArgs {
  ScaleShiftKernelArgs norm;
  const void* residual;
  void* r;
  long long residual_stride;
  long long r_stride;
  Broadcast gate;
};

}  // namespace kerncast::norm
