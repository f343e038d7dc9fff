#pragma once

#include <string_view>

#include <kerncast/ops/norm/quantised_norm.hpp>
#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// Root-mean-square normalisation (Zhang and Sennrich 2019, arXiv:1910.07467) whose result is quantised
/// before it is rounded to anything else, and stored as it is too if y is given. Launch with kerncast::launch
/// or prepare, which say what is asynchronous and what must live how long. Aliasing: y may be x itself; q and
/// s overlap no other tensor.
struct RmsNormQuant {
  static constexpr std::string_view op_name = "norm.rms_norm_quant";

  TensorView x;            ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView weight = {};  ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView y = {};       ///< shape of x; bf16, f16 or f32; may be x itself; absent: not wanted
  Quantised out;
  float eps = 1e-6F;           ///< not negative
  float weight_offset = 0.0F;  ///< 1 for Gemma
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const RmsNormQuant& arguments);

}  // namespace kerncast::norm
