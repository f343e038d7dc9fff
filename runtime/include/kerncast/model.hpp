#pragma once

#include <cstdint>
#include <string>

#include "kerncast/dtype.hpp"

namespace kerncast {

/// Sizes of a model that its kernels depend on, as read from a Hugging Face config.json. 0 means that the
/// model does not have the part in question.
struct ModelConfig {
  std::string name;
  std::string architecture;  ///< "DeepseekV3ForCausalLM"
  DType dtype = DType::bf16;
  /// Activation of the MLPs: "silu", "gelu", "gelu_tanh", "swiglu_oai" (GPT-OSS), else the config's own word.
  std::string hidden_act;
  std::int64_t hidden = 0;
  std::int64_t q_lora_rank = 0;
  std::int64_t kv_lora_rank = 0;
  std::int64_t intermediate = 0;
  std::int64_t moe_intermediate = 0;
  std::int64_t experts = 0;
  std::int64_t top_k = 0;
  std::int64_t groups = 0;
  std::int64_t topk_group = 0;
  std::int64_t shared_experts = 0;
  std::int64_t expert_ranks = 0;  ///< ranks that share the experts; 0: unknown
  double routed_scaling_factor = 1.0;
  /// Router scores are sigmoids with a correction bias (DeepSeek-V3, Kimi-K2, GLM-4.5).
  bool sigmoid_gate = false;
  bool renormalize = true;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t linear_key_head_dim = 0;  ///< size of a q or k head of linear attention (Qwen3-Next)
  /// Size of a value head of linear attention, which ends in a gated norm (Qwen3-Next).
  std::int64_t linear_value_head_dim = 0;
  bool qk_norm = false;         ///< per-head RMSNorm of q and k (Qwen3, GLM-4.5)
  std::int64_t rotary_dim = 0;  ///< elements of a head that rotary embedding rotates
  bool rope_interleaved =
      false;  ///< rotary pairs are neighbours (FLUX.1, Qwen-Image, Wan), not halves of a head
  double norm_eps = 1e-6;
  double norm_weight_offset = 0.0;  ///< 1 for Gemma
  bool layer_norm = false;          ///< modulated LayerNorm without weights (diffusion transformers)

  /// Experts of one rank: all of them unless several ranks share them.
  [[nodiscard]] std::int64_t local_experts() const {
    return expert_ranks > 1 ? experts / expert_ranks : experts;
  }
};

}  // namespace kerncast
