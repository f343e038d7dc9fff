#pragma once

#include "kerncast/op.hpp"
#include "kerncast/tensor.hpp"

/// What the definitions of topk_softmax and topk_sigmoid share.
namespace kerncast::moe::topk_gate {

/// What tells one op from the other.
struct Traits {
  const char* name;
  const char* summary;
  const char* formula;
  const char* include;
  const char* kernel;
  const char* arguments_type;
  bool has_softcap;
  void (*validate)(const Specialisation&);
  Call (*bind)(const Bindings&);
  std::vector<TensorPlan> (*plan_outputs)(const Bindings&);
  std::vector<TensorPlan> (*plan_inputs)(const Bindings&, std::int64_t rows);
  std::vector<ModelCase> (*model_cases)(const ModelConfig&);
};

struct Arguments {
  TensorView logits;
  TensorView bias;
  TensorView weights;
  TensorView ids;
  bool renormalize = true;
  float softcap = 0.0F;
};

[[nodiscard]] OpDefinition make_definition(const Traits& traits);

/// Constraints across parameters. Throws Error(invalid_argument).
void validate(std::string_view op, const Specialisation& spec);

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] Call make_call(std::string_view op, const Arguments& arguments);

/// The arguments by name.
[[nodiscard]] Arguments read(const OpDefinition& op, const Bindings& bindings);

/// `call` if the settings agree with it.
[[nodiscard]] Call checked(const OpDefinition& op, const Call& call, const Bindings& bindings);

[[nodiscard]] std::vector<TensorPlan> plan_inputs(const OpDefinition& op, const Bindings& bindings,
                                                  std::int64_t rows);

/// The gate of `model`, with a bias or without.
[[nodiscard]] std::vector<ModelCase> model_case(const ModelConfig& model, DType logits, bool bias);

}  // namespace kerncast::moe::topk_gate
