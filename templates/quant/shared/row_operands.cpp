#include "templates/quant/shared/row_operands.hpp"

#include <algorithm>
#include <optional>

#include "templates/host/tensor_check.hpp"
#include "templates/quant/shared/operand_checks.hpp"

namespace kerncast::quant {

RowOperands row_operands(std::string_view op, const TensorView& x, const TensorView& q, DType type) {
  const host::TensorCheck x_check(op, "x", x);
  const host::TensorCheck q_check(op, "q", q);
  x_check.is_float();
  q_check.has_dtype(type);
  RowOperands made{.x = x_check.contiguous_rows(), .q = q_check.output_rows(), .width = x.dim(-1)};
  if (made.width < 1 || made.width > max_hidden) [[unlikely]] {
    host::refuse_range(op, "the last dimension of x (hidden)", made.width, 1, max_hidden);
  }
  q_check.has_rows_like("x", x, made.width);
  require_row_count(op, "x", made.x.count, made.width);
  x_check.has_data(made.x.count).is_aligned(made.x);
  q_check.has_data(made.x.count).is_on_device_of("x", x);
  const auto bytes = static_cast<std::int32_t>(size_of(x.dtype));
  const auto row_bytes = static_cast<std::uint64_t>(made.width * bytes);
  made.alignment = std::min(host::alignment_of(host::misalignment(x, made.x) | row_bytes),
                            host::alignment_of(host::misalignment(q, made.q)) * bytes);
  return made;
}

ParamSpec row_hidden_param() {
  return host::integer_param(1, max_hidden, std::nullopt, "elements of a row");
}

ParamSpec row_alignment_param() {
  return host::listed_param({2, 4, 8, 16}, 16,
                            "bytes of x per access; derived from the tensors' pointers, strides and width");
}

TensorPlan plan_row_input(const OpDefinition& op, const Bindings& bindings, std::int64_t rows) {
  return {"x",
          host::dtype_setting(op, bindings, "x_dtype", DType::bf16),
          {rows, host::required_param(op, bindings, "hidden")},
          {},
          {}};
}

TensorPlan plan_row_output(const OpDefinition& op, const Bindings& bindings, DType type) {
  const TensorView& x = bindings.require_tensor(op.name, "x");
  static_cast<void>(host::contiguous_rows(op.name, "x", x));
  return {"q", type, {x.shape.begin(), x.shape.begin() + x.rank}, {}, {}};
}

std::vector<ModelCase> linear_input_cases(const ModelConfig& model,
                                          const std::vector<std::pair<std::string, std::string>>& params) {
  std::vector<ModelCase> cases;
  if (!host::is_float(model.dtype)) {
    return cases;
  }
  const auto add = [&](const std::string& label, std::int64_t width) {
    if (width < 1 || width > max_hidden) {
      return;
    }
    ModelCase made;
    made.label = label;
    made.params = {{"x_dtype", std::string(name_of(model.dtype))}, {"hidden", std::to_string(width)}};
    made.params.insert(made.params.end(), params.begin(), params.end());
    if (const std::int32_t aligned =
            host::alignment_of(static_cast<std::uint64_t>(width * size_of(model.dtype)));
        aligned < 16) {
      made.params.emplace_back("alignment", std::to_string(aligned));
    }
    cases.push_back(std::move(made));
  };
  for (const ModelLinear& linear : model.linears) {
    add(linear.place, linear.width);
  }
  return cases;
}

}  // namespace kerncast::quant
