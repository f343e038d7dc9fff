#pragma once

#include <kerncast/ops/norm/quantised_scaling.h>
#include <kerncast/ops/scale_layout.h>
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// The quantised output of a norm: q = sat(y / s), MAX = 448 (e4m3), 57344 (e5m2), 127 (int8), 6 (e2m1);
/// under nvfp4 q = sat(y * g / s).
struct Quantised {
  /// Shape of x; fp8_e4m3, fp8_e5m2 or i8, under mxfp8 no i8. mxfp4, nvfp4: [..., H / 2], u8, two e2m1 each,
  /// the first in the low nibble. Rows may be strided.
  TensorView q;
  /// per_token: [..., 1], f32. per_group: [..., G], G = H / group, f32, with the strides of `layout`;
  /// packed_ue8m0: [T, ceil(G / 4)] i32 with strides (1, T rounded up to 4), whose storage extends to the
  /// full last column; all bytes past T and G are set to 0. per_tensor: absent. mxfp8, mxfp4: ue8m0, nvfp4:
  /// fp8_e4m3;
  /// [..., K] for the K blocks of a row, or as `sf_layout` says.
  TensorView s = {};
  TensorView scale = {};  ///< per_tensor: [1], f32, positive; else absent
  Scaling scaling = Scaling::per_token;
  TensorView global_scale = {};  ///< nvfp4: g, [1], f32; else absent
  int group = 128;               ///< 16, 32, 64 or 128
  quant::ScaleLayout layout = quant::ScaleLayout::row_major;
  quant::ScaleFormat format = quant::ScaleFormat::f32;  ///< packed_ue8m0 needs column_major_tma_aligned
  quant::SfLayout sf_layout = quant::SfLayout::linear;  ///< of s under mxfp8, mxfp4 and nvfp4
};

}  // namespace kerncast::norm
