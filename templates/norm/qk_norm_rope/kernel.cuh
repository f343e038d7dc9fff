#pragma once

#include "norm/qk_norm/kernel.cuh"
#include "norm/qk_norm_rope/kernel_args.h"

namespace kerncast::norm {

template <class Config>
struct TableRope {
  static constexpr int rotary = Config::rotary_dim;
  static constexpr bool interleaved = Config::rope_style == 1;
};

template <class Config>
__global__ void __launch_bounds__(Config::threads, 1) qk_norm_rope_kernel(const QkNormRopeKernelArgs args) {
  norm_heads<Config, TableRope<Config>>(args.norm, [&](long long token) -> const float* {
    const long long position = static_cast<const typename Config::position_dtype*>(args.positions)[token];
    return position >= 0 && position < args.table_rows ? args.cos_sin + position * args.table_stride
                                                       : nullptr;
  });
}

}  // namespace kerncast::norm
