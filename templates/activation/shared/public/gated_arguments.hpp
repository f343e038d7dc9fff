#pragma once

#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/fixed_name.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::activation {

/// The arguments of the gated activation called `Name`: y = act(gate) * up, in f32, rounded once. The gates
/// are x[..., :H] and the ups x[..., H:]. Launch with kerncast::launch or prepare, which say what is
/// asynchronous and what must live how long. Aliasing: y may overlap none of the inputs.
template <FixedName Name>
struct GatedArguments {
  static constexpr std::string_view op_name = Name;

  TensorView x;  ///< [..., 2 * H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView y;  ///< [..., H]; bf16, f16 or f32; rows may be strided
  /// Optional, [E] i32, with x [E, M, 2 * H]: only the first masked_m[e] rows of expert e are read and
  /// written. E is from 1 to 1024.
  TensorView masked_m = {};
};

}  // namespace kerncast::activation
