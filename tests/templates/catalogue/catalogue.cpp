#include "tests/templates/catalogue/catalogue.hpp"

#include <algorithm>
#include <set>
#include <string>

#include "tools/model/model_config.hpp"
#include "tools/model/shipped_models.hpp"

namespace kerncast::test {

namespace {

/// Models with features that no shipped model has: gated gelu by tanh (Gemma 2 9B) and by erf (ModernBERT
/// large), and the norms of linear attention (Qwen3-Next 80B A3B).
constexpr const char* unshipped[] = {
    R"({"architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "hidden_size": 3584,
        "intermediate_size": 14336, "hidden_activation": "gelu_pytorch_tanh", "num_attention_heads": 16,
        "num_key_value_heads": 8, "head_dim": 256})",
    R"({"architectures": ["ModernBertForMaskedLM"], "model_type": "modernbert", "hidden_size": 1024,
        "intermediate_size": 2624, "hidden_activation": "gelu", "num_attention_heads": 16})",
    R"({"architectures": ["Qwen3NextForCausalLM"], "model_type": "qwen3_next", "hidden_size": 2048,
        "intermediate_size": 5120, "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256,
        "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_value_heads": 32})"};

/// Shapes of ops that the plans of models do not name: the products of the experts of Qwen3 30B A3B, of
/// DeepSeek V3 in fp8 and of Kimi K2 Thinking in int4, and the exchanges of ranks that share Llama 3 70B, of
/// which a model's configuration does not tell the number.
std::vector<tools::Workload> unplanned_workloads() {
  const OpDefinition& gemm = OpRegistry::instance().require("moe.grouped_gemm");
  const OpDefinition& reduce = OpRegistry::instance().require("comm.all_reduce");
  const OpDefinition& fused = OpRegistry::instance().require("comm.all_reduce_add_rms_norm");
  return {
      {.op = &gemm,
       .label = "experts' first product",
       .params =
           {{"n", "1536"}, {"k", "2048"}, {"experts", "128"}, {"top_k", "8"}, {"activation", "silu_and_mul"}},
       .scalars = {}},
      {.op = &gemm,
       .label = "experts' second product",
       .params = {{"n", "2048"}, {"k", "768"}, {"experts", "128"}, {"has_weights", "true"}},
       .scalars = {}},
      {.op = &gemm,
       .label = "experts' first product, fp8",
       .params = {{"a_dtype", "fp8_e4m3"},
                  {"b_dtype", "fp8_e4m3"},
                  {"n", "4096"},
                  {"k", "7168"},
                  {"experts", "256"},
                  {"top_k", "8"},
                  {"has_scales", "true"},
                  {"scale_form", "blocks"},
                  {"activation", "silu_and_mul"}},
       .scalars = {}},
      {.op = &gemm,
       .label = "experts' second product, int4",
       .params = {{"b_dtype", "u8"},
                  {"n", "7168"},
                  {"k", "2048"},
                  {"experts", "384"},
                  {"has_weights", "true"},
                  {"has_scales", "true"},
                  {"scale_form", "int4"}},
       .scalars = {}},
      {.op = &reduce, .label = "one rank", .params = {{"hidden", "8192"}}, .scalars = {}},
      {.op = &reduce,
       .label = "small messages of 8 ranks",
       .params = {{"hidden", "8192"}, {"x_dtype", "f16"}, {"y_dtype", "f16"}, {"world", "8"}},
       .scalars = {}},
      {.op = &reduce,
       .label = "large messages of 8 ranks",
       .params = {{"hidden", "8192"}, {"world", "8"}, {"algorithm", "two_shot"}},
       .scalars = {}},
      {.op = &fused,
       .label = "small messages of 8 ranks",
       .params = {{"hidden", "8192"}, {"hf_rounding", "true"}, {"world", "8"}},
       .scalars = {}},
      {.op = &fused,
       .label = "large messages of 8 ranks",
       .params = {{"hidden", "8192"}, {"world", "8"}, {"algorithm", "two_shot"}},
       .scalars = {}}};
}

std::vector<tools::Workload> planned_workloads() {
  std::vector<tools::Workload> all;
  for (const tools::ShippedModel& model : tools::shipped_models()) {
    for (tools::Workload& workload : tools::workloads_of(tools::load_model_config(std::string(model.name)))) {
      const bool known = std::any_of(all.begin(), all.end(), [&](const tools::Workload& other) {
        return other.op == workload.op && other.params == workload.params;
      });
      if (!known) {
        workload.label = std::string(model.name) + ": " + workload.label;
        all.push_back(std::move(workload));
      }
    }
  }
  for (const char* text : unshipped) {
    std::set<const OpDefinition*> used;
    for (const tools::Workload& workload : all) {
      used.insert(workload.op);
    }
    const ModelConfig model = tools::read_model(text, "catalogue", "unshipped").config;
    for (tools::Workload& workload : tools::workloads_of(model)) {
      if (!used.contains(workload.op)) {
        workload.label = model.architecture + ": " + workload.label;
        all.push_back(std::move(workload));
      }
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const tools::Workload& a, const tools::Workload& b) {
    return a.op->name < b.op->name;
  });
  return all;
}

}  // namespace

std::vector<tools::Workload> catalogue_workloads() {
  std::vector<tools::Workload> all = planned_workloads();
  // The matrices of all experts of a model take gigabytes; the tests of the op have fewer of them.
  std::erase_if(all, [](const tools::Workload& workload) { return workload.op->name == "moe.grouped_gemm"; });
  return all;
}

std::vector<tools::Workload> catalogue_variants() {
  std::vector<tools::Workload> variants;
  std::set<std::string> seen;
  std::vector<tools::Workload> all = planned_workloads();
  for (tools::Workload& workload : unplanned_workloads()) {
    all.push_back(std::move(workload));
  }
  for (tools::Workload& workload : all) {
    const Specialisation spec = specialise(*workload.op, workload.params);
    std::string kind = workload.op->name;
    for (std::size_t i = 0; i < workload.op->params.size(); ++i) {
      if (workload.op->params[i].kind != ParamKind::integer) {
        kind += ' ' + format_param(workload.op->params[i], spec[i]);
      }
    }
    if (seen.insert(std::move(kind)).second) {
      variants.push_back(std::move(workload));
    }
  }
  return variants;
}

}  // namespace kerncast::test
