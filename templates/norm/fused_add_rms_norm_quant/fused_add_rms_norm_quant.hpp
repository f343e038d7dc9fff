#pragma once

#include <string_view>

#include <kerncast/ops/norm/quantised_norm.hpp>
#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// Addition to the residual stream, then root-mean-square normalisation (Zhang and Sennrich 2019,
/// arXiv:1910.07467) whose result is quantised before it is rounded to anything else, and stored as it is too
/// if y is given. The sum is normalised as it was before it was rounded to residual's dtype, as
/// FusedAddRMSNormQuantKernel of FlashInfer does (include/flashinfer/norm.cuh), or with round_residual after
/// that, as fused_add_rms_norm_static_fp8_quant_kernel of vLLM does
/// (csrc/libtorch_stable/layernorm_quant_kernels.cu). Launch with kerncast::launch or prepare, which say what
/// is asynchronous and what must live how long. Aliasing: y may be x itself; residual may be neither x nor y;
/// q and s overlap no other tensor.
struct FusedAddRmsNormQuant {
  static constexpr std::string_view op_name = "norm.fused_add_rms_norm_quant";

  TensorView x;            ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView residual;     ///< shape of x; bf16, f16 or f32; x + residual on return
  TensorView weight = {};  ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView y = {};  ///< shape of x; bf16, f16 or f32; may be x itself, but not residual; absent: not wanted
  Quantised out;
  float eps = 1e-6F;            ///< not negative
  float weight_offset = 0.0F;   ///< 1 for Gemma
  bool round_residual = false;  ///< round x + residual to residual's dtype before it is normalised
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const FusedAddRmsNormQuant& arguments);

}  // namespace kerncast::norm
