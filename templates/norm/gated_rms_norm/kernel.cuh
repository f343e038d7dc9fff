#pragma once

#include "device/functions/activation.cuh"
#include "device/programmatic_launch.cuh"
#include "device/promote.cuh"
#include "device/round.cuh"
#include "norm/gated_rms_norm/kernel_args.h"
#include "norm/shared/public/norm_gate.h"
#include "norm/shared/rms.cuh"

namespace kerncast::norm {

/// One row by threads / rows_per_block threads. y may be x or z.
template <class Config>
__global__ void __launch_bounds__(Config::threads) gated_rms_norm_kernel(const GatedRmsNormKernelArgs args) {
  begin_kernel();
  using Y = typename Config::y_dtype;
  using Z = typename Config::z_dtype;
  using Gate =
      typename Choose<static_cast<NormGate>(Config::gate) == NormGate::silu, SiluAndMul, SigmoidAndMul>::type;
  const Z* z = static_cast<const Z*>(args.z) + row_of_thread<Config>() * args.z_stride;
  const auto* weight = static_cast<const typename Config::weight_dtype*>(args.weight);
  normalise_row<Config, Config::hidden, Y, Z>(args, [&](auto& values, const Pair& scale, int column) {
    constexpr int width = sizeof(values) / sizeof(float);
    float gates[width];
    load_values<Z, width>(z + column, gates);
    normalise_values<Config, width, sizeof(Y) == 4>(values, nullptr, weight + column, scale,
                                                    args.weight_offset);
    if constexpr (Config::hf_rounding && Config::has_weight) {
      round_values<Promoted<typename Config::x_dtype, typename Config::weight_dtype>, width>(values);
    }
#pragma unroll
    for (int j = 0; j < width; ++j) {
      values[j] = gated<Gate, Z, Y>(gates[j], values[j]);
    }
  });
}

}  // namespace kerncast::norm
