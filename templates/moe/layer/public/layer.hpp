#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <kerncast/ops/moe/gemm_activation.h>
#include <kerncast/ops/moe/scoring.h>
#include "kerncast/export.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// The router of a layer.
enum class LayerGate : unsigned char {
  given,         ///< none: ids and weights are inputs
  topk_softmax,  ///< moe.topk_softmax
  topk_sigmoid,  ///< moe.topk_sigmoid
  fused_gate,    ///< moe.fused_gate
};

/// A whole mixture of experts:
///
///     y[t] = routed_scaling_factor * sum over k of weights[t, k] * expert(ids[t, k], x[t]) (+ addend[t])
///     expert(e, x) = w2[e] * act(w13[e] * x + w13_bias[e]) + w2_bias[e]
///
/// It is a composition of ops, which are launched one after the other on one stream: the gate,
/// moe.align_block_size, moe.grouped_gemm with the activation, moe.grouped_gemm with the weights, and
/// moe.sum_reduce. Each rounds as its own header says: the products of the experts are rounded to the type of
/// x between the two (with fp8 and i8 weights to f16 if y is f16, else to bf16), and to the type of y before
/// they are summed. With fp8 and i8 weights, and without x_scales, x is quantised first, and always the rows
/// between the products: by quant.per_token_fp8 and quant.per_token_int8, or by quant.per_token_group with
/// groups of 128 before a product whose fp8 matrix has scales of blocks. With weights of 4 bits nothing is
/// quantised: the products take x as it is, and each 32 elements of a row of a matrix under their scale.
///
/// Slots whose id, after expert_map, names no expert of w13 are skipped, so that y of one rank is a partial
/// sum. A row of y has the same bits in a call of any number of tokens, whatever the others' experts.
///
/// The calls need no host to wait and no memory but `workspace`, and their grids hold whatever the gate
/// chooses: a captured graph may be replayed with other tokens in the same memory. One workspace serves
/// layers that run one after the other. Rows between the products of skipped slots keep what the workspace
/// held, which is quantised too with weights of 8 bits and reaches nothing; on the virtual GPU, which refuses
/// to read memory that nobody wrote, clear the workspace once if slots may be skipped then.
///
/// Aliasing: y may be x or addend itself; otherwise nothing that is written may overlap another tensor.
struct Layer {
  static constexpr std::string_view op_name = "moe.layer";

  /// [T, H]: the type of w13; or bf16, f16 or f32 if w13 is fp8 or i8; bf16 or f16 if it has 4 bits; rows may
  /// be strided
  TensorView x;
  /// [E, 2 * I, H]: gates, then ups, with swiglu_oai in turns; bf16, f16, fp8 e4m3 or i8; contiguous along H.
  /// A matrix of 4 bits is [E, 2 * I, H / 2], u8, two values to a byte and the first in the low bits, and H
  /// and I are multiples of 32. Its values are fp4 e2m1 if w13_scales is ue8m0 (mxfp4 of gpt-oss), integers
  /// plus 8 if it is bf16 (int4 of Kimi K2 Thinking)
  TensorView w13;
  TensorView w2;  ///< [E, H, I], or [E, H, I / 2] of 4 bits, type of w13; contiguous along I
  TensorView y;   ///< [T, H]; bf16, f16 or f32; rows may be strided
  /// layer_workspace() bytes or more, contiguous, of any dtype, aligned to 128 bytes; what is in it does not
  /// matter, before and after
  TensorView workspace;
  LayerGate gate = LayerGate::given;
  TensorView logits = {};  ///< [T, experts of all ranks], as the gate takes it
  TensorView bias = {};    ///< as the gate takes it
  /// Optional, [1], i32: rows from this count on are padding and get y = addend, or 0; for the gates
  TensorView num_token_non_padded = {};
  /// [T, K], i32; an input without a gate, otherwise an optional output
  TensorView ids = {};
  /// [T, K], f32, contiguous; an input without a gate, otherwise an optional output
  TensorView weights = {};
  /// Optional, [ids that there can be], i32: the place of an expert in w13, or -1
  TensorView expert_map = {};
  TensorView x_scales = {};  ///< f32: x is fp8 or i8 and has these scales, as moe.grouped_gemm takes them
  /// With fp8 and i8: [E, 2 * I] or [E], f32; with fp8 also [E, ceil(2 * I / 128), ceil(H / 128)]. With
  /// matrices of 4 bits: [E, 2 * I, H / 32], ue8m0 or bf16, contiguous along H
  TensorView w13_scales = {};
  /// With fp8 and i8: [E, H] or [E], f32; with fp8 also [E, ceil(H / 128), ceil(I / 128)]. With
  /// matrices of 4 bits: [E, H, I / 32], ue8m0 or bf16, contiguous along I
  TensorView w2_scales = {};
  TensorView w13_bias = {};  ///< optional, [E, 2 * I]; bf16, f16 or f32
  TensorView w2_bias = {};   ///< optional, [E, H]; bf16, f16 or f32
  TensorView addend = {};    ///< optional, shape and type of y: the output of shared experts
  int top_k = 1;             ///< K of the gates, shared slots included; without a gate ids tell it
  int groups = 1;            ///< of fused_gate, as the next four
  int topk_group = 1;
  int num_fused_shared_experts = 0;  ///< the experts after the routed ones in w13
  Scoring scoring = Scoring::sigmoid;
  bool renormalize = true;             ///< of the gates
  float softcap = 0.0F;                ///< of topk_softmax
  float routed_scaling_factor = 1.0F;  ///< finite, and positive with fused_gate
  int block = 64;                      ///< slots that share a tile, see moe.align_block_size
  GemmActivation activation = GemmActivation::silu_and_mul;  ///< any but none
  float limit = 0.0F;    ///< of the activation, as moe.grouped_gemm has it; swiglu_oai with 0: 7
  float alpha = 1.702F;  ///< of swiglu_oai
};

/// Bytes of the workspace of `layer`, whose tensors need shapes and dtypes and no memory. It is the most that
/// is in use at a time between the gate and the sum, and grows with the number of tokens, so that a host
/// allocates it for the most tokens that it serves. Throws Error(invalid_argument) as launch does.
[[nodiscard]] KERNCAST_API std::int64_t layer_workspace(const Layer& layer);

/// A layer whose kernels are loaded and whose arguments are bound; see kerncast::PreparedLaunch, whose rules
/// on lifetime and threads hold here.
class KERNCAST_API PreparedLayer {
 public:
  static constexpr std::size_t most_calls = 7;

  /// Checks the whole layer and makes all of its kernels ready. The device memory that the arguments name
  /// must live as long as the layer is launched. Throws Error.
  PreparedLayer(Runtime& runtime, const Layer& layer);
  /// Enqueues the kernels on `stream` and returns. No tokens: nothing. Throws Error(driver_error).
  void launch(Stream stream) const;

 private:
  std::array<PreparedLaunch, most_calls> launches_;
  std::size_t count_ = 0;
};

}  // namespace kerncast::moe

namespace kerncast {

/// Checks the whole layer, then enqueues its kernels on `stream`; see kerncast/launch.hpp on asynchrony and
/// lifetime. No tokens: success without a launch. If the kernels are in memory, it allocates nothing and
/// takes no lock. Thread-safe. Throws Error(invalid_argument), and nothing is enqueued then; if a kernel
/// cannot be compiled or loaded, those before it have been enqueued.
KERNCAST_API void launch(Runtime& runtime, const moe::Layer& layer, Stream stream);

/// The layer for repeated launches, or for a capture, in which nothing may be compiled. Throws Error.
[[nodiscard]] inline moe::PreparedLayer prepare(Runtime& runtime, const moe::Layer& layer) {
  return {runtime, layer};
}

}  // namespace kerncast
