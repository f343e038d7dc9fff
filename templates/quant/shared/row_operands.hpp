#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "templates/host/checks.hpp"

/// Operands of the ops that quantise rows of any width element by element: x[..., H] -> q[..., H].
namespace kerncast::quant {

/// The checked tensors x and q of a call.
struct RowOperands {
  host::Rows x;
  host::Rows q;
  std::int64_t width = 0;
  std::int32_t alignment = 16;  ///< bytes of x per access for which equally many elements of q are aligned
};

/// Requires that x is bf16, f16 or f32 and that q is of `type` and has the shape of x. Throws Error.
[[nodiscard]] RowOperands row_operands(std::string_view op, const TensorView& x, const TensorView& q,
                                       DType type);

/// The parameters `hidden` and `alignment`.
[[nodiscard]] ParamSpec row_hidden_param();
[[nodiscard]] ParamSpec row_alignment_param();

/// Tensor x of a synthetic call with `rows` rows, and output q of a call.
[[nodiscard]] TensorPlan plan_row_input(const OpDefinition& op, const Bindings& bindings, std::int64_t rows);
[[nodiscard]] TensorPlan plan_row_output(const OpDefinition& op, const Bindings& bindings, DType type);

/// One case with the settings `params` for the input of each kind of linear layer of `model`. Empty if the
/// model's dtype is not bf16, f16 or f32.
[[nodiscard]] std::vector<ModelCase> linear_input_cases(
    const ModelConfig& model, const std::vector<std::pair<std::string, std::string>>& params);

}  // namespace kerncast::quant
