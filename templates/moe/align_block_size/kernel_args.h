#pragma once

#include "device/grouping_args.h"

namespace kerncast::moe {

/// The argument of the kernels of align_block_size.
struct AlignBlockSizeKernelArgs {
  GroupingArgs grouping;
  int* sorted;
  int* expert;
  int* total;
  int places;  ///< elements of sorted
};

}  // namespace kerncast::moe
