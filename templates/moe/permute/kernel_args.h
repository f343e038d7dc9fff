#pragma once

#include "device/grouping_args.h"

namespace kerncast::moe {

/// The argument of the kernels of permute. Strides are in elements.
struct PermuteKernelArgs {
  GroupingArgs grouping;
  const void* x;
  void* y;
  const void* scales;
  void* y_scales;
  int* offsets;
  int* map;
  long long rows;
  long long x_stride;
  long long y_stride;
  long long map_stride;
  long long scales_stride;
  long long scales_column_stride;
  long long y_scales_stride;
  long long y_scales_column_stride;
  int scale_columns;
};

}  // namespace kerncast::moe
