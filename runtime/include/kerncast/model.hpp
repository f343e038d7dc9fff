#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kerncast/dtype.hpp"

namespace kerncast {

/// The formula of a norm of whole rows.
enum class NormKind : std::uint8_t {
  rms,
  layer,
  l2,                 ///< no weight, sum instead of mean
  gated_rms,          ///< rms, then times silu of a second input
  sigmoid_gated_rms,  ///< rms, then times sigmoid of a second input
};

/// A norm over rows: of hidden states, of a latent, or of q or k over all heads at once.
struct ModelNorm {
  std::string place;       ///< where the model has it, such as "input_layernorm"
  std::int64_t width = 0;  ///< elements of a row
  NormKind kind = NormKind::rms;
  bool weight = true;
  bool bias = false;           ///< layer only
  double weight_offset = 0.0;  ///< added to the weight; 1 for Gemma
  bool alone = true;           ///< launched on x alone
  bool added = false;          ///< launched on x + residual
  bool quantised = false;      ///< its result feeds a linear layer that may be quantised
  bool f32 = false;            ///< the rows are widened to f32 before, as Llama 4 does with q and k
  std::int64_t rows_per_token = 1;
  /// Under tensor parallelism each rank has a part of every row, and all ranks add up the squares before they
  /// scale. No op does that, so none is launched then.
  bool spread = false;
};

/// Per-head RMS norms of q and k.
struct ModelHeadNorm {
  std::string place;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  bool unit_offset = false;       ///< times 1 + weight
  bool alone = true;              ///< launched without rotary embedding
  std::int64_t rotary_dim = 0;    ///< elements of a head that turn after the norm; 0: none do
  bool rope_interleaved = false;  ///< rotary pairs are neighbours, not halves of a head
};

/// The way in which the width of an MLP or a linear layer is divided among ranks.
enum class Split : std::uint8_t {
  none,
  tensor,  ///< by tensor parallelism
  expert,  ///< as the width of one expert: by what tensor parallelism leaves over from expert parallelism
};

/// A gated activation: y of `width` elements from rows of twice as many.
struct ModelMlp {
  std::string place;       ///< "dense MLP", "experts", "shared expert"
  std::string activation;  ///< "silu", "gelu", "gelu_tanh", "swiglu_oai" (GPT-OSS)
  std::int64_t width = 0;
  Split split = Split::tensor;
  std::int64_t pad = 1;  ///< engines round the width of a rank up to a multiple of this
  double limit = 0.0;    ///< of gates and ups, if above 0
};

/// The input of a kind of linear layer, where a quantised model quantises it.
struct ModelLinear {
  std::string place;  ///< "o_proj input"
  std::int64_t width = 0;
  Split split = Split::none;
  std::int64_t pad = 1;  ///< as in ModelMlp
};

/// A norm whose result is scaled and shifted, in a diffusion transformer.
struct ModelModulation {
  std::string place;
  std::int64_t width = 0;
  NormKind kind = NormKind::layer;
  bool weight = false;
  bool bias = false;
  DType modulation_dtype = DType::bf16;
  std::string gate;           ///< form of the gate of a residual that is added before; empty: no residual
  std::string form = "none";  ///< form of scale and shift: "none", "shared", "grouped", "token"
  bool scaled = true;         ///< false: there is no scale
  bool shifted = true;        ///< false: there is no shift
};

/// The function that makes scores of a router's logits.
enum class RouterScoring : std::uint8_t { none, softmax, sigmoid, sqrtsoftplus };

/// The choice of experts. `none`: the model has no experts, or a router that no op computes.
struct ModelRouter {
  RouterScoring scoring = RouterScoring::none;
  std::vector<DType> logits = {
      DType::bf16};   ///< one for each element type in which engines compute the logits
  bool bias = false;  ///< experts are chosen by score + bias, and weighted by the score alone
  std::int64_t groups = 0;
  std::int64_t topk_group = 0;
  bool renormalize = true;
  double scaling = 1.0;
  double softcap = 0.0;           ///< c > 0: logits become c * tanh(logits / c) first; softmax only
  std::int64_t fused_shared = 0;  ///< shared experts that engines run as slots of the routed ones
};

/// The elements and scales of the experts' matrices, where moe.grouped_gemm multiplies them.
enum class ExpertMatrices : std::uint8_t {
  plain,       ///< the model's dtype
  fp8,         ///< e4m3 with scales of rows or of whole matrices
  fp8_blocks,  ///< e4m3 with scales of 128 by 128 elements
  int8,        ///< with scales of rows
  mxfp4,       ///< e2m1 with ue8m0 scales of 32 elements of a row
  int4,        ///< with bf16 scales of 32 elements of a row
};

/// The facts that the kernels of a model depend on, as read from its config.json. 0 or an empty list means
/// that the model does not have the part in question.
struct ModelConfig {
  std::string name;
  std::string architecture;  ///< "DeepseekV3ForCausalLM"
  DType dtype = DType::bf16;
  bool diffusion = false;  ///< a diffusion transformer
  std::int64_t hidden = 0;
  double norm_eps = 1e-6;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t experts = 0;
  std::int64_t top_k = 0;
  std::int64_t expert_ranks = 0;   ///< ranks that share the experts; 0: unknown
  std::int64_t expert_hidden = 0;  ///< elements of an expert's input and output; 0: hidden
  bool adds_shared = false;        ///< the output of a shared expert is added to the routed sum
  bool deep_gemm = false;          ///< engines quantise for DeepGEMM, which wants its own layouts of scales
  std::vector<ExpertMatrices> expert_matrices;  ///< empty: of a kind that no op multiplies
  ModelRouter router;
  std::vector<ModelNorm> norms;
  std::vector<ModelHeadNorm> head_norms;
  std::vector<ModelMlp> mlps;
  std::vector<ModelLinear> linears;
  std::vector<ModelModulation> modulations;

  /// Experts of one rank: all of them unless several ranks share them.
  [[nodiscard]] std::int64_t local_experts() const {
    return expert_ranks > 1 ? experts / expert_ranks : experts;
  }
  /// Elements of an expert's input and output.
  [[nodiscard]] std::int64_t expert_width() const { return expert_hidden > 0 ? expert_hidden : hidden; }
};

}  // namespace kerncast
