#pragma once

#include <string_view>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "templates/host/checks.hpp"

/// What the ops share that quantise rows of any width element by element: x[..., H] -> q[..., H].
namespace kerncast::quant {

inline constexpr std::int64_t max_row_width = 65536;

/// x and q as rows, checked.
struct RowOperands {
  host::Rows x;
  host::Rows q;
  std::int64_t width = 0;
  std::int32_t alignment =
      16;  ///< bytes of x per access under which as many elements of q are stored aligned
};

/// Refuses x that is no float and q that is not of `type` or the shape of x.
[[nodiscard]] RowOperands row_operands(std::string_view op, const TensorView& x, const TensorView& q,
                                       DType type);

/// Refuses an alignment below an element of x, or that does not divide a row.
void validate_row_access(std::string_view op, std::int32_t alignment, std::int32_t hidden, DType type);

/// Takes over settings of `bindings`: a narrower alignment, at place `alignment`, serves too; others must
/// agree.
void apply_row_settings(const OpDefinition& op, Call& call, const Bindings& bindings, std::size_t alignment);

/// Parameters hidden and alignment.
[[nodiscard]] ParamSpec row_hidden_param();
[[nodiscard]] ParamSpec row_alignment_param();

/// Input x of a synthetic call, and output q.
[[nodiscard]] TensorPlan plan_row_input(const OpDefinition& op, const Bindings& bindings, std::int64_t rows);
[[nodiscard]] TensorPlan plan_row_output(const OpDefinition& op, const Bindings& bindings, DType type);

/// The linear layers' inputs of `model` as cases with settings `params`; none of another type than a float.
[[nodiscard]] std::vector<ModelCase> linear_input_cases(
    const ModelConfig& model, const std::vector<std::pair<std::string, std::string>>& params);

}  // namespace kerncast::quant
