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
  const auto shared_out = [&](std::int64_t kv_heads) {
    return kv_heads % tp == 0 ? kv_heads / tp : std::min<std::int64_t>(kv_heads, 1);
  };
  rank.heads = divided(model, "attention heads", model.heads, "--tp", tp);
  rank.kv_heads = shared_out(model.kv_heads);
  for (ModelHeadNorm& norm : rank.head_norms) {
    norm.q_heads = divided(model, "attention heads", norm.q_heads, "--tp", tp);
    norm.kv_heads = shared_out(norm.kv_heads);
  }
  for (ModelNorm& norm : rank.norms) {
    norm.alone = norm.alone && !(norm.spread && tp > 1);
  }
  static_cast<void>(divided(model, "experts", model.experts, "--ep", ep));
  rank.expert_ranks = ep > 1 ? ep : 0;
  const std::int64_t ranks_of_expert = ep > 1 ? std::max<std::int64_t>(tp / ep, 1) : tp;
  const auto width_of = [&](const std::string& what, std::int64_t width, Split split, std::int64_t pad) {
    const std::int64_t ranks = split == Split::tensor ? tp : split == Split::expert ? ranks_of_expert : 1;
    return (divided(model, what.c_str(), width, "--tp", ranks) + pad - 1) / pad * pad;
  };
  for (ModelMlp& mlp : rank.mlps) {
    mlp.width = width_of("elements of the " + mlp.place, mlp.width, mlp.split, mlp.pad);
  }
  for (ModelLinear& linear : rank.linears) {
    linear.width = width_of("elements of the " + linear.place, linear.width, linear.split, linear.pad);
  }
  return rank;
}

}  // namespace kerncast::tools
