#pragma once

#include <string_view>

#include "kerncast/fixed_name.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Quantises each row with its own scale: s = max(amax(row), 1e-10) / MAX, q = sat(x / s), rounded to nearest
/// even, where MAX is the largest magnitude of q's dtype. amax ignores NaN.
///
/// Asynchrony and lifetime: see kerncast/launch.hpp.
///
/// Aliasing: no output may overlap another tensor.
template <FixedName Name, DType QType>
struct PerTokenArguments {
  static constexpr std::string_view op_name = Name;
  static constexpr DType q_dtype = QType;

  TensorView x;  ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView q;  ///< shape of x; q_dtype; rows may be strided
  TensorView s;  ///< [..., 1], f32; rows may be strided
};

}  // namespace kerncast::quant
