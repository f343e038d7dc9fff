#include "templates/moe/shared/expert_products.hpp"

#include <string>
#include <utility>

#include "templates/host/checks.hpp"
#include "templates/moe/shared/grouping.hpp"

namespace kerncast::moe {
namespace {

constexpr std::int64_t most_of_product = 65536;
constexpr std::int64_t packed_scale_elements = 32;

/// The name of an activation of grouped_gemm; empty if it has none for `name`.
std::string activation_name(const std::string& name) {
  if (name == "silu" || name == "gelu" || name == "gelu_tanh") {
    return name + "_and_mul";
  }
  return name == "swiglu_oai" ? name : std::string();
}

/// The element types of a product, and the form of its scales.
struct ProductForm {
  DType rows = DType::bf16;
  DType matrix = DType::bf16;
  const char* scales = nullptr;  ///< a choice of scale_form; null: no scales
  std::int64_t scale_bytes = 0;  ///< of packed matrices
};

/// The form for matrices of a model whose own element type is `plain`.
ProductForm product_form(ExpertMatrices matrices, DType plain) {
  switch (matrices) {
    case ExpertMatrices::plain:
      break;
    case ExpertMatrices::fp8:
      return {DType::fp8_e4m3, DType::fp8_e4m3, "rows"};
    case ExpertMatrices::fp8_blocks:
      return {DType::fp8_e4m3, DType::fp8_e4m3, "blocks"};
    case ExpertMatrices::int8:
      return {DType::i8, DType::i8, "rows"};
    case ExpertMatrices::mxfp4:
      return {plain, DType::u8, "mxfp4", size_of(DType::ue8m0)};
    case ExpertMatrices::int4:
      return {plain, DType::u8, "int4", size_of(DType::bf16)};
  }
  return {plain, plain};
}

void add_alignment(ModelCase& made, const char* name, std::int64_t bits) {
  if (const std::int32_t aligned = host::alignment_of(static_cast<std::uint64_t>(bits)); aligned < 16) {
    made.params.emplace_back(name, std::to_string(aligned));
  }
}

/// A product of rows of `k` elements with `n` rows of a matrix, to rows of `columns` elements.
ModelCase product(const ModelConfig& model, const ProductForm& form, std::int64_t n, std::int64_t k,
                  std::int64_t columns) {
  ModelCase made;
  made.params = {{"a_dtype", std::string(name_of(form.rows))},
                 {"b_dtype", std::string(name_of(form.matrix))},
                 {"c_dtype", std::string(name_of(model.dtype))},
                 {"n", std::to_string(n)},
                 {"k", std::to_string(k)},
                 {"experts", std::to_string(model.local_experts())}};
  if (form.scales != nullptr) {
    made.params.emplace_back("has_scales", "true");
    made.params.emplace_back("scale_form", form.scales);
  }
  const std::int64_t bytes = size_of(form.rows);
  const bool packed = form.scale_bytes > 0;
  add_alignment(made, "alignment", k * bytes | columns * bytes | (packed ? k / 2 : 0));
  if (packed) {
    add_alignment(made, "scale_alignment", k / packed_scale_elements * form.scale_bytes);
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
      const ProductForm form = product_form(matrices, model.dtype);
      if (form.scale_bytes > 0 &&
          (hidden % packed_scale_elements != 0 || mlp.width % packed_scale_elements != 0)) {
        continue;
      }
      ModelCase first = product(model, form, 2 * mlp.width, hidden, mlp.width);
      first.label = mlp.place + ", first product";
      first.params.emplace_back("top_k", std::to_string(model.top_k));
      first.params.emplace_back("activation", activation);
      ModelCase second = product(model, form, hidden, mlp.width, hidden);
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
