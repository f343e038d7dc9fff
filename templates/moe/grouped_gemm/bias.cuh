#pragma once

#include "device/types.cuh"
#include "moe/grouped_gemm/bias.h"

namespace kerncast::moe {

/// The element type of a bias.
template <GemmBias Type>
struct BiasOf {
  using type = f32;
};
template <>
struct BiasOf<GemmBias::bf16> {
  using type = bf16;
};
template <>
struct BiasOf<GemmBias::f16> {
  using type = f16;
};

}  // namespace kerncast::moe
