#pragma once

#include <kerncast/ops/moe/gemm_activation.h>
#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// Multiplies rows by the matrix of the expert that they are grouped under: for each slot s that `sorted`
/// names in a block of expert e, c[s] = weights[s] * a[s / top_k] * transpose(b[e]), in f32, rounded once. It
/// is the matrix product of a mixture of experts as vLLM's and SGLang's fused_moe have it. `sorted`, `expert`
/// and `total` are the results of moe.align_block_size, on which no tile of the kernel depends, so that both
/// products of a layer share them: the first with top_k slots for each row of a, the second with one. Rows of
/// c whose slots `sorted` does not name keep their contents. Each element is one sum in order of k, in steps
/// of 16, and has the same bits under every number of rows and all tunables. Launch with kerncast::launch or
/// prepare, which say what is asynchronous and what must live how long.
/// With a_scales and b_scales, each product is multiplied by the scale of its row and that of its column
/// first. Products of i8 are added up exactly, and the sum is rounded to f32. Scales of blocks, as DeepSeek
/// V3 has them, are for 128 elements of a row of a, and for 128 rows and 128 elements of b: the products of
/// each 128 elements of k are added up from 0, and their sum times (scale of a * scale of b) is added in f32
/// by one fused step, in order of k. b may have 4 bits, two values to a byte and the first in the low bits,
/// with a scale for 32 elements of a row, which the type of b_scales tells: ue8m0 makes b fp4 e2m1 (mxfp4, as
/// gpt-oss has it), bf16 integers from -8 to 7 that are stored plus 8 (as Kimi K2 Thinking has them). The
/// products of each 32 elements are added up from 0, and their sum times the scale is added by one fused
/// step. Tensor cores take fp8 as f16, so that all devices sum alike. With silu_and_mul, the first half of
/// b's rows are gates and the second half ups, as the field stores w13: c[s] = weights[s] * silu(g) * u,
/// where g and u are not rounded; gelu_and_mul and gelu_tanh_and_mul have gelu in place of silu, and
/// swiglu_oai takes the rows of b in turns as gate and up: each is the activation of the family `activation`
/// of that name. The bias of an expert is added to its products, after the scales and before the activation.
/// Aliasing: c may overlap no input. If `sorted` names a slot twice, either row is written.
struct GroupedGemm {
  static constexpr std::string_view op_name = "moe.grouped_gemm";

  TensorView a;  ///< [T, K], K from 1 to 65536; bf16, f16, fp8 e4m3 or i8; rows may be strided
  /// [E, N, K], E from 1 to 1024, N from 1 to 65536; type of a; contiguous along K. Of 4 bits: [E, N, K / 2],
  /// u8, K a multiple of 32, a is bf16 or f16
  TensorView b;
  TensorView sorted;  ///< [P], i32: the slots, expert by expert; others than 0 to T * top_k - 1 are padding
  TensorView expert;  ///< [P / block] or more, i32: the expert of each block; blocks of others are skipped
  TensorView total;   ///< [1], i32: elements of `sorted` that belong to experts
  TensorView
      c;  ///< [T * top_k, N], or N / 2 columns with an activation; bf16, f16 or f32; rows may be strided
  TensorView weights = {};  ///< [T * top_k] elements of any shape, f32, contiguous; optional
  /// [T], [1], or [T, ceil(K / 128)] of blocks, f32, any strides; optional, with 8 bits and with b_scales
  TensorView a_scales = {};
  /// [E, N], [E], or [E, ceil(N / 128), ceil(K / 128)] of blocks, f32, any strides. Of 4 bits: [E, N, K /
  /// 32], ue8m0 or bf16, contiguous along K; rows that are multiples of 16 bytes apart are read fastest
  TensorView b_scales = {};
  int top_k = 1;  ///< slots of a row of a, from 1 to 64
  GemmActivation activation = GemmActivation::none;
  int block = 64;  ///< elements of `sorted` that share an expert, from 1 to 1024
  /// silu_and_mul: L, positive and finite, limits gates and ups; 0: no limit. swiglu_oai: L; 0: 7, as gpt-oss
  /// has it. Other activations: 0.
  float limit = 0.0F;
  float alpha = 1.702F;  ///< of swiglu_oai, finite
  TensorView bias = {};  ///< [E, N], bf16, f16 or f32, contiguous along N; optional
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const GroupedGemm& arguments);

}  // namespace kerncast::moe
