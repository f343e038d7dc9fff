#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "kerncast/op_definition.hpp"

/// Checks that the tests of all definitions share.
namespace kerncast::test {

/// The message of the Error(invalid_argument) that `call` throws; fails the test if it throws none.
template <class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_argument);
    return error.what();
  }
  FAIL_CHECK("nothing was thrown");
  return {};
}

/// Every tunable's value is one of its choices or of its range.
inline void check_choices(const OpDefinition& op, const Tunables& tunables) {
  CHECK_NOTHROW(check_tunables(op, tunables));
}

/// Every case of `model` specialises, and plans inputs from its settings.
inline void check_cases(const OpDefinition& op, const ModelConfig& model) {
  std::set<std::string> labels;
  for (const ModelCase& item : op.model_cases(model)) {
    CHECK_FALSE(item.label.empty());
    CHECK_NOTHROW(specialise(op, item.params));
    Bindings bindings;
    for (const auto& [name, value] : item.params) {
      bindings.set_param(name, value);
    }
    CHECK_FALSE(op.plan_inputs(bindings, 3).empty());
    for (const auto& [name, value] : item.scalars) {
      CHECK(std::any_of(op.scalars.begin(), op.scalars.end(),
                        [&, &wanted = name](const ScalarSpec& scalar) { return scalar.name == wanted; }));
    }
  }
}

/// The values that the cases of `model` give the setting called `name`.
inline std::set<std::string> widths_of(const OpDefinition& op, const ModelConfig& model,
                                       const std::string& name) {
  std::set<std::string> values;
  for (const ModelCase& item : op.model_cases(model)) {
    for (const auto& [param, value] : item.params) {
      if (param == name) {
        values.insert(value);
      }
    }
  }
  return values;
}

inline ModelConfig deepseek_v3() {
  ModelConfig model;
  model.name = "deepseek-v3";
  model.hidden = 7168;
  model.experts = 256;
  model.top_k = 8;
  model.adds_shared = true;
  model.deep_gemm = true;
  model.heads = 128;
  model.kv_heads = 128;
  model.head_dim = 128;
  model.router = {.scoring = RouterScoring::sigmoid,
                  .logits = {DType::bf16, DType::f32},
                  .bias = true,
                  .groups = 8,
                  .topk_group = 4,
                  .scaling = 2.5,
                  .fused_shared = 1};
  model.norms = {{.place = "input_layernorm", .width = 7168, .added = true, .quantised = true},
                 {.place = "q_a_layernorm", .width = 1536, .quantised = true},
                 {.place = "kv_a_layernorm", .width = 512}};
  model.mlps = {{.place = "dense MLP", .activation = "silu", .width = 18432},
                {.place = "experts", .activation = "silu", .width = 2048, .split = Split::expert}};
  model.linears = {
      {.place = "attention and MLP input", .width = 7168}, {.place = "o_proj input", .width = 16384},
      {.place = "q_b_proj input", .width = 1536},          {.place = "kv_b_proj input", .width = 512},
      {.place = "down_proj input", .width = 18432},        {.place = "experts", .width = 2048}};
  return model;
}

}  // namespace kerncast::test
