#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <kerncast/ops/norm/qk_norm.hpp>
#include "templates/norm/qk_norm/kernel_args.h"

/// What norm.qk_norm and norm.qk_norm_rope have in common.
namespace kerncast::norm {

/// The definition of qk_norm under another name; what its call and its formula have of their own is the
/// caller's to fill in.
[[nodiscard]] OpDefinition qk_norm_definition(std::string_view name);

/// Constraints across parameters. Throws Error(invalid_argument).
void validate_heads(std::string_view op, const Specialisation& spec);

/// A checked call of the q and k heads, without its kernel's arguments.
struct HeadCall {
  Call call;
  QkNormKernelArgs arguments;
};

[[nodiscard]] HeadCall check_heads(std::string_view op, const QkNorm& arguments);

/// The arguments that both ops have, from names.
[[nodiscard]] QkNorm heads_from(const OpDefinition& op, const Bindings& bindings);

/// Lets a caller's narrower alignment stand, then checks the settings against `call`.
void agree(const OpDefinition& op, Call& call, const Bindings& bindings);

/// Inputs of `rows` tokens with the settings in `bindings`.
[[nodiscard]] std::vector<TensorPlan> plan_heads(const OpDefinition& op, const Bindings& bindings,
                                                 std::int64_t rows);

/// The setting called `name`; throws Error(invalid_argument) where it is left out.
[[nodiscard]] std::int32_t required_setting(const OpDefinition& op, const Bindings& bindings,
                                            std::string_view name);

/// The settings of a model's q and k heads; none where it does not normalise them.
[[nodiscard]] std::vector<ModelCase> head_cases(const ModelConfig& model);

/// Largest power of two of bytes per access, at most `aligned`, under which pairs that turn together share a
/// thread.
[[nodiscard]] std::int32_t rope_access(const Specialisation& spec, std::int32_t aligned);

}  // namespace kerncast::norm
