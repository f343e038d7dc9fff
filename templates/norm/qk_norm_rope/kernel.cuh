#pragma once

#include "device/programmatic_launch.cuh"
#include "norm/qk_norm/kernel.cuh"
#include "norm/qk_norm_rope/kernel_args.h"

namespace kerncast::norm {

template <class Config>
struct Rope {
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
  norm_heads<Config, Rope<Config>>(args.norm, [&](long long token) {
    const auto* positions = static_cast<const typename Config::position_dtype*>(args.positions);
    const long long position = token >= 0 ? positions[token] : -1;
    if constexpr (Config::angles == 1) {
      return ComputedAngles<sizeof(typename Config::qkv_dtype) == 4>{args.inverse_frequencies, position,
                                                                     args.attention_factor};
    } else {
      const bool is_inside = position >= 0 && position < args.table_rows;
      return TableAngles<Config::rotary_dim>{is_inside ? args.cos_sin + position * args.table_stride
                                                       : nullptr};
    }
  });
}

}  // namespace kerncast::norm
