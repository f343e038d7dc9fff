#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "templates/device/broadcast_args.h"
#include "templates/host/checks.hpp"

namespace kerncast::host {

/// A checked operand that modulates rows.
struct BroadcastOperand {
  BroadcastForm form = BroadcastForm::none;
  Broadcast argument{};
  std::int32_t access = 16;  ///< most bytes of the modulated tensor per access, see aligned_access_bytes
};

/// Derives the form of `view` over `rows` rows of `width` elements of `main_bytes`. An absent view is none.
[[nodiscard]] BroadcastOperand broadcast(std::string_view op, std::string_view name, const TensorView& view,
                                         std::int64_t rows, std::int64_t width, std::int64_t main_bytes,
                                         int device);

/// The parameter that holds the form of `operand`.
[[nodiscard]] ParamSpec broadcast_param(std::string_view operand);

/// Takes the more general form of parameter `index` that a caller names, if it serves the rows of `call` too.
void apply_form(const OpDefinition& op, Call& call, const Bindings& bindings, std::size_t index);

/// Adds the plan of an operand in the form that parameter `param` names: two groups if the row count is even.
void plan_broadcast(std::vector<TensorPlan>& plans, const OpDefinition& op, const Bindings& bindings,
                    std::string name, std::string_view param, DType type, std::int64_t rows,
                    std::int64_t width);

}  // namespace kerncast::host
