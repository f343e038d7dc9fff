#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "kerncast/op_definition.hpp"

/// The compile-time settings of a call that is made by name.
namespace kerncast::host {

/// The setting called `name`, checked; empty if the bindings do not set it. Throws Error(invalid_argument).
[[nodiscard]] std::optional<std::int32_t> setting(const OpDefinition& op, const Bindings& bindings,
                                                  std::string_view name);

/// The setting called `name`. Throws Error(invalid_argument) if the bindings do not set it.
[[nodiscard]] std::int32_t required_param(const OpDefinition& op, const Bindings& bindings,
                                          std::string_view name);

/// The dtype that the setting `name` names, or `otherwise`.
[[nodiscard]] DType dtype_setting(const OpDefinition& op, const Bindings& bindings, std::string_view name,
                                  DType otherwise);

/// Takes the alignment that the caller names if it is narrower than that of the tensors, whose kernel serves
/// them too. Throws Error(invalid_argument) if the op does not validate it.
void narrow_alignment(const OpDefinition& op, Call& call, const Bindings& bindings);

/// Refuses an alignment narrower than an element of `type`, or one that does not divide a row of `width`
/// elements.
void validate_alignment(std::string_view op, std::int32_t alignment, std::int64_t width, DType type);

}  // namespace kerncast::host
