#pragma once

#include "norm/qk_norm/kernel_args.h"

namespace kerncast::norm {

/// The kernel's argument. Strides are in elements.
struct QkNormRopeKernelArgs {
  QkNormKernelArgs norm;
  const float* cos_sin;
  const void* positions;
  long long table_rows;
  long long table_stride;
  const float* inverse_frequencies;
  float attention_factor;
};

}  // namespace kerncast::norm
