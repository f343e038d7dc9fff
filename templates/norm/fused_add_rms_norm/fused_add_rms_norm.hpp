#pragma once

#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// Addition to the residual stream, then root-mean-square normalisation (Zhang and Sennrich 2019,
/// arXiv:1910.07467): r = x + residual, stored over residual; y = r * rsqrt(mean(r^2) + eps) * (weight +
/// weight_offset), per row.
///
/// By default r is normalised as it was before it was rounded to residual's dtype: FusedAddRMSNormKernel of
/// FlashInfer (include/flashinfer/norm.cuh, and h in flashinfer/norm/kernels/fused_add_rmsnorm.py),
/// RMSNorm.forward_native of sglang (srt/layers/layernorm.py) and, with hf_rounding, fused_add_rms_norm of
/// vLLM's ir/ops/layernorm.py and the kernel that sglang calls with cast_x_before_out_mul
/// (fused_add_rmsnorm_reg_kernel of jit/csrc/elementwise/fused_add_rmsnorm.cuh). With round_residual it is
/// normalised after that: eager code that adds in the model's dtype (LlamaDecoderLayer of transformers,
/// GemmaRMSNorm._forward_impl of sglang) and vLLM's kernel (fused_add_rms_norm_kernel of
/// csrc/libtorch_stable/layernorm_kernels.cu). sglang's kernel without cast_x_before_out_mul, which none of
/// its layers calls, does neither: it takes the squares before and the elements after the rounding.
///
/// Launch with kerncast::launch or prepare, which say what is asynchronous and what must live how long.
/// Aliasing: y may be x itself; residual may be neither x nor y.
struct FusedAddRmsNorm {
  static constexpr std::string_view op_name = "norm.fused_add_rms_norm";

  TensorView x;                 ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView residual;          ///< shape of x; bf16, f16 or f32; x + residual on return
  TensorView weight = {};       ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView y;                 ///< shape of x; bf16, f16 or f32; may be x itself, but not residual
  float eps = 1e-6F;            ///< not negative
  float weight_offset = 0.0F;   ///< 1 for Gemma
  bool hf_rounding = false;     ///< round r * rsqrt(...) to x's dtype before the weight
  bool round_residual = false;  ///< round r to residual's dtype before it is normalised
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const FusedAddRmsNorm& arguments);

}  // namespace kerncast::norm
