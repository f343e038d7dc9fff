#include "tools/model/model_shard.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

std::int64_t divided(const ModelConfig& model, const char* what, std::int64_t size, const char* option,
                     std::int64_t ranks) {
  if (size % ranks != 0) {
    throw UsageError(
        fmt::format("{} {} does not divide the {} {} of {}", option, ranks, size, what, model.name));
  }
  return size / ranks;
}

}  // namespace

ModelConfig shard_model(const ModelConfig& model, std::int64_t tp, std::int64_t ep) {
  ModelConfig rank = model;
  rank.heads = divided(model, "attention heads", model.heads, "--tp", tp);
  rank.kv_heads = model.kv_heads % tp == 0 ? model.kv_heads / tp : std::min<std::int64_t>(model.kv_heads, 1);
  rank.intermediate = divided(model, "elements of the MLP", model.intermediate, "--tp", tp);
  static_cast<void>(divided(model, "experts", model.experts, "--ep", ep));
  rank.expert_ranks = ep > 1 ? ep : 0;
  const std::int64_t ranks_of_expert = ep > 1 ? std::max<std::int64_t>(tp / ep, 1) : tp;
  rank.moe_intermediate =
      divided(model, "elements of an expert", model.moe_intermediate, "--tp", ranks_of_expert);
  return rank;
}

}  // namespace kerncast::tools
