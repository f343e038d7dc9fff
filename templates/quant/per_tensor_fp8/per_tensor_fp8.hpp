#pragma once

#include <cstdint>
#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::quant {

/// Elements of PerTensorFp8::workspace.
inline constexpr std::int64_t per_tensor_fp8_workspace_elements = 1024;

/// Quantises a tensor to fp8 e4m3 with one scale: q = sat(x / s). Static, if `scale` is given: s is `scale`.
/// Else dynamic: s = max(amax(x), 1e-10) / 448, in two kernels, and `s` and `workspace` are required. amax
/// ignores NaN, which gives 0x7f. If x has no rows, nothing is launched and s is not written. After
/// sgl-kernel's per_tensor_quant_fp8.
///
/// Asynchrony and lifetime: see kerncast/launch.hpp.
///
/// Aliasing: no output may overlap another tensor.
struct PerTensorFp8 {
  static constexpr std::string_view op_name = "quant.per_tensor_fp8";

  TensorView x;           ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView q;           ///< shape of x; fp8_e4m3; rows may be strided
  TensorView scale = {};  ///< static: [1], f32, positive
  TensorView s = {};      ///< dynamic: [1], f32, written
  /// Dynamic: [per_tensor_fp8_workspace_elements], f32, overwritten. Calls that may run at the same time need
  /// a workspace each.
  TensorView workspace = {};
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const PerTensorFp8& arguments);

}  // namespace kerncast::quant
