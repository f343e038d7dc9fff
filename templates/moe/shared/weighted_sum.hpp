#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "kerncast/tensor.hpp"
#include "templates/host/typed_op.hpp"

/// The host side of sum_reduce and unpermute.
namespace kerncast::moe::weighted_sum {

inline constexpr int max_experts = 1024;

/// The arguments of a call of either op.
struct Arguments {
  const TensorView& x;        ///< [..., K, hidden]; [P, hidden] with a map
  const TensorView& weights;  ///< [..., K], f32, or absent
  const TensorView* map;      ///< [..., K], i32; null for the op that has none
  const TensorView& addend;   ///< shape and type of y, or absent
  const TensorView& y;        ///< [..., hidden]
  float factor;
  const TensorView* ids = nullptr;         ///< [..., K], i32; null for the op that has none
  const TensorView* expert_map = nullptr;  ///< as for moe.align_block_size
  int experts = max_experts;               ///< with ids: experts on this rank
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] Call make_call(std::string_view op, const Arguments& arguments);

/// Sets the parameters that both ops have, the tunables, the geometry and the name of the argument type.
void add_params(OpDefinition& op);

/// Adds the parameters of ids, which sum_reduce alone has.
void add_id_params(OpDefinition& op);

/// Refuses an alignment that a row does not have.
void validate(std::string_view op, const Specialisation& spec);

[[nodiscard]] std::vector<TensorPlan> plan_inputs(const OpDefinition& op, const Bindings& bindings,
                                                  std::int64_t rows, bool mapped);
[[nodiscard]] std::vector<TensorPlan> plan_outputs(const OpDefinition& op, const Bindings& bindings,
                                                   bool mapped);

/// The sum over the experts' outputs of `model`; empty if it has no experts.
[[nodiscard]] std::vector<ModelCase> model_cases(const ModelConfig& model, std::string label, bool weights,
                                                 bool addend);

/// Names the members that follow x, and map, in both argument structs.
template <class Sum>
void describe_rest(host::NamedArguments& named, Sum& call) {
  named.optional_input("weights", call.weights, "[..., top_k], f32; rows may be strided");
  named.optional_input("addend", call.addend, "[..., hidden], y_dtype; rows may be strided; may be y itself");
  named.output("y", call.y, "[..., hidden], y_dtype; rows may be strided");
  named.scalar("routed_scaling_factor", call.routed_scaling_factor, "multiplies the sum; finite");
}

/// The definition of the op that `Sum` calls, without summary, formula and model cases.
template <class Sum, host::Describe<Sum> describe, bool mapped>
[[nodiscard]] OpDefinition definition() {
  OpDefinition op = host::define<Sum, describe>();
  add_params(op);
  op.validate = [](const Specialisation& spec) { validate(Sum::op_name, spec); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return plan_inputs(definition_of<Sum>(), bindings, rows, mapped);
  };
  op.plan_outputs = [](const Bindings& bindings) {
    return plan_outputs(definition_of<Sum>(), bindings, mapped);
  };
  return op;
}

}  // namespace kerncast::moe::weighted_sum
