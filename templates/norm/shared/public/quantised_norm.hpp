#pragma once

#include <kerncast/ops/norm/quantised_scaling.h>
#include <kerncast/ops/scale_layout.h>
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// The quantised output of a norm: q = sat(y / s), MAX = 448 (e4m3), 57344 (e5m2), 127 (int8).
struct Quantised {
  TensorView q;  ///< shape of x; fp8_e4m3, fp8_e5m2 or i8; rows may be strided
  /// per_token: [..., 1], f32. per_group: [..., G], G = H / group, f32, with the strides of `layout`;
  /// packed_ue8m0: [T, ceil(G / 4)] i32 with strides (1, T rounded up to 4), whose storage extends to the
  /// full last column; all bytes past T and G are set to 0. per_tensor: absent.
  TensorView s = {};
  TensorView scale = {};  ///< per_tensor: [1], f32, positive; else absent
  Scaling scaling = Scaling::per_token;
  int group = 128;  ///< 16, 32, 64 or 128
  quant::ScaleLayout layout = quant::ScaleLayout::row_major;
  quant::ScaleFormat format = quant::ScaleFormat::f32;  ///< packed_ue8m0 needs column_major_tma_aligned
};

}  // namespace kerncast::norm
