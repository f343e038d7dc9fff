#pragma once

#include "device/broadcast_args.h"

namespace kerncast::norm {

/// The operands that normalise and modulate rows.
struct Modulation {
  const void* weight;
  const void* bias;
  Broadcast scale;
  Broadcast shift;
  float eps;
};

/// The kernel's argument. Strides are in elements.
struct ScaleShiftKernelArgs {
  const void* x;
  void* y;
  long long rows;
  long long x_stride;
  long long y_stride;
  Modulation modulation;
};

}  // namespace kerncast::norm
