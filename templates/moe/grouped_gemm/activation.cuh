#pragma once

#include "device/functions/activation.cuh"
#include "moe/grouped_gemm/public/gemm_activation.h"

namespace kerncast::moe {

/// The gated activation that a GemmActivation names; `Limited` if the call gives a limit.
template <GemmActivation Activation, bool Limited>
struct ActivationOf {
  using type = SiluAndMul;
};
template <>
struct ActivationOf<GemmActivation::silu_and_mul, true> {
  using type = LimitedSiluAndMul;
};
template <>
struct ActivationOf<GemmActivation::gelu_and_mul, false> {
  using type = GeluAndMul;
};
template <>
struct ActivationOf<GemmActivation::gelu_tanh_and_mul, false> {
  using type = GeluTanhAndMul;
};
template <bool Limited>
struct ActivationOf<GemmActivation::swiglu_oai, Limited> {
  using type = SwigluOai;
};

}  // namespace kerncast::moe
