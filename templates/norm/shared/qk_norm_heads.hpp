#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <kerncast/ops/norm/qk_norm.hpp>
#include "templates/host/typed_op.hpp"
#include "templates/norm/qk_norm/kernel_args.h"

/// The host side that norm.qk_norm and norm.qk_norm_rope share.
namespace kerncast::norm {

/// Names the arguments that both ops have.
void describe_heads(host::NamedArguments& named, QkNorm& call);

/// Fills in the parameters, tunables, geometry, and the empty plan of outputs.
void add_head_params(OpDefinition& op);

/// Constraints across parameters. Throws Error(invalid_argument).
void validate_heads(std::string_view op, const Specialisation& spec);

/// A checked call of the q and k heads, without its kernel's arguments.
struct HeadCall {
  Call call;
  QkNormKernelArgs arguments;
};

[[nodiscard]] HeadCall check_heads(std::string_view op, const QkNorm& arguments);

/// Inputs of `rows` tokens with the settings in `bindings`.
[[nodiscard]] std::vector<TensorPlan> plan_heads(const OpDefinition& op, const Bindings& bindings,
                                                 std::int64_t rows);

/// The norms of a model's q and k heads: those that rotary embedding follows, or those launched without it.
[[nodiscard]] std::vector<ModelCase> head_cases(const ModelConfig& model, bool rope);

/// Largest power of two of bytes per access, at most `aligned`, under which pairs that turn together share a
/// thread.
[[nodiscard]] std::int32_t rope_access(const Specialisation& spec, std::int32_t aligned);

}  // namespace kerncast::norm
