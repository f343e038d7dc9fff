#pragma once

#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Quantises every row with a scale of its own: s = max(amax(row), 1e-10) / MAX, q = sat(x / s).
struct PerToken {
  TensorView x;  ///< [..., H]; bf16, f16 or f32; rows may be strided
  TensorView q;  ///< shape of x; fp8_e4m3 or i8, as the op is called; rows may be strided
  TensorView s;  ///< [..., 1], f32; rows may be strided
};

}  // namespace kerncast::quant
