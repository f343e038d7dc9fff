#include "templates/moe/shared/expert_products.hpp"

#include <string>
#include <utility>

#include "templates/host/checks.hpp"
#include "templates/moe/shared/grouping.hpp"

namespace kerncast::moe {
namespace {

constexpr std::int64_t most_of_product = 65536;

/// The name of an activation of grouped_gemm; empty if it has none for `name`.
std::string activation_name(const std::string& name) {
  if (name == "silu" || name == "gelu" || name == "gelu_tanh") {
    return name + "_and_mul";
  }
  return name == "swiglu_oai" ? name : std::string();
}

/// A product of rows of `k` elements with `n` rows of a matrix, to rows of `columns` elements.
ModelCase product(const ModelConfig& model, ExpertMatrices matrices, std::int64_t n, std::int64_t k,
                  std::int64_t columns) {
  const bool is_fp8 = matrices != ExpertMatrices::plain;
  const DType type = is_fp8 ? DType::fp8_e4m3 : model.dtype;
  ModelCase made;
  made.params = {{"a_dtype", std::string(name_of(type))},
                 {"b_dtype", std::string(name_of(type))},
                 {"c_dtype", std::string(name_of(model.dtype))},
                 {"n", std::to_string(n)},
                 {"k", std::to_string(k)},
                 {"experts", std::to_string(model.local_experts())}};
  if (is_fp8) {
    made.params.emplace_back("has_scales", "true");
  }
  if (matrices == ExpertMatrices::fp8_blocks) {
    made.params.emplace_back("scale_form", "blocks");
  }
  const auto bytes = static_cast<std::uint64_t>(size_of(type));
  if (const std::int32_t aligned = host::alignment_of(static_cast<std::uint64_t>(k) * bytes |
                                                      static_cast<std::uint64_t>(columns) * bytes);
      aligned < 16) {
    made.params.emplace_back("alignment", std::to_string(aligned));
  }
  return made;
}

}  // namespace

std::vector<ModelCase> expert_products(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  const std::int64_t hidden = model.expert_width();
  if (model.experts < 1 || model.local_experts() > grouping::max_experts || model.top_k < 1 ||
      model.top_k > grouping::max_top_k || hidden < 1 || hidden > most_of_product ||
      (model.dtype != DType::bf16 && model.dtype != DType::f16)) {
    return cases;
  }
  for (const ModelMlp& mlp : model.mlps) {
    const std::string activation = activation_name(mlp.activation);
    if (mlp.split != Split::expert || activation.empty() || mlp.width < 1 ||
        2 * mlp.width > most_of_product) {
      continue;
    }
    for (const ExpertMatrices matrices : model.expert_matrices) {
      ModelCase first = product(model, matrices, 2 * mlp.width, hidden, mlp.width);
      first.label = mlp.place + ", first product";
      first.params.emplace_back("top_k", std::to_string(model.top_k));
      first.params.emplace_back("activation", activation);
      ModelCase second = product(model, matrices, hidden, mlp.width, hidden);
      second.label = mlp.place + ", second product";
      second.params.emplace_back("has_weights", "true");
      if (mlp.limit > 0 && mlp.activation == "silu") {
        first.params.emplace_back("limit", "true");
        first.scalars = {{"limit", mlp.limit}};
      }
      if (mlp.activation == "swiglu_oai") {
        // The experts of gpt-oss have a bias in both of their layers.
        first.params.emplace_back("bias", std::string(name_of(model.dtype)));
        second.params.emplace_back("bias", std::string(name_of(model.dtype)));
      }
      cases.push_back(std::move(first));
      cases.push_back(std::move(second));
    }
  }
  return cases;
}

}  // namespace kerncast::moe
