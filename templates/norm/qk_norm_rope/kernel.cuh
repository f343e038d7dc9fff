#pragma once

#include "device/programmatic_launch.cuh"
#include "norm/qk_norm/kernel.cuh"
#include "norm/qk_norm_rope/kernel_args.h"

namespace kerncast::norm {

template <class Config>
struct TableRope {
  static constexpr int rotary = Config::rotary_dim;
  static constexpr bool interleaved = Config::rope_style == 1;
};

/// Blocks that a multiprocessor must be able to hold. For wide heads the compiler takes over 96 registers to
/// load all it needs ahead, and then too few threads fit to hide the loads; 80 suffice.
template <class Config>
inline constexpr int resident_blocks_of_heads =
    Config::head_dim > 128 && Config::head_dim <= 256 && Config::threads <= 768 ? 768 / Config::threads : 1;

template <class Config>
__global__ void __launch_bounds__(Config::threads, resident_blocks_of_heads<Config>)
    qk_norm_rope_kernel(const QkNormRopeKernelArgs args) {
  begin_kernel();
  norm_heads<Config, TableRope<Config>>(args.norm, [&](long long token) -> const float* {
    const long long position = static_cast<const typename Config::position_dtype*>(args.positions)[token];
    return position >= 0 && position < args.table_rows ? args.cos_sin + position * args.table_stride
                                                       : nullptr;
  });
}

}  // namespace kerncast::norm
