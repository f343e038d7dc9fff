#pragma once

#include "kerncast/tensor.hpp"

namespace kerncast::activation {

/// The arguments of every gated activation, y = act(gate) * up: gates are x[..., :H] and ups x[..., H:], but
/// for swiglu_oai, whose gates lie at even and ups at odd places.
struct Gated {
  TensorView x;  ///< [..., 2 * H], bf16, f16 or f32; rows may be strided
  TensorView y;  ///< [..., H], bf16, f16 or f32; rows may be strided
  /// Optional, [E] i32, with x [E, M, 2 * H]: only the first masked_m[e] rows of each expert are read and
  /// written.
  TensorView masked_m = {};
};

}  // namespace kerncast::activation
