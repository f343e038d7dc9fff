#pragma once

#include "device/grouping_args.h"

namespace kerncast::moe {

/// The blocks that find the places of the slots.
enum class Placing : int {
  direct,  ///< every block that copies rows, for at most direct_slots slots
  whole,   ///< one block before the others, for at most block_slots slots
  split,   ///< several blocks that first count the slots of each expert
};

/// Most slots that every block places for itself instead of a launch that does it for all.
inline constexpr int direct_slots = 128;

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
