#pragma once

#include "device/programmatic_launch.cuh"
#include "norm/fused_add_rms_norm/kernel_args.h"
#include "norm/shared/added_rms/added_rms.cuh"

namespace kerncast::norm {

/// One row by threads / rows_per_block threads. y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads)
    fused_add_rms_norm_kernel(const FusedAddRmsNormKernelArgs args) {
  begin_kernel();
  const long long row = row_of_thread<Config>();
  if (past_rows<Config>(row, args.rows)) {
    return;
  }
  add_and_normalise<Config>(args, row,
                            static_cast<const typename Config::x_dtype*>(args.x) + row * args.x_stride,
                            has_row<Config>(row, args.rows));
}

}  // namespace kerncast::norm
