#include "templates/quant/shared/row_operands.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace kerncast::quant {

RowOperands row_operands(std::string_view op, const TensorView& x, const TensorView& q, DType type) {
  host::require_float(op, "x", x);
  if (q.dtype != type) [[unlikely]] {
    host::refuse_dtype(op, "q", q.dtype, name_of(type));
  }
  RowOperands made;
  made.x = host::contiguous_rows(op, "x", x);
  made.q = host::output_rows(op, "q", q);
  made.width = x.dim(-1);
  if (made.width < 1 || made.width > max_row_width) [[unlikely]] {
    host::refuse_range(op, "the last dimension of x (hidden)", made.width, 1, max_row_width);
  }
  host::require_rows_like(op, "q", q, "x", x, made.width);
  // What the grid can hold, far past any device's memory.
  constexpr std::int64_t max_elements = std::int64_t{1} << 44;
  if (made.x.count > max_elements / made.width) [[unlikely]] {
    host::refuse_range(op, "the row count of x", made.x.count, 0, max_elements / made.width);
  }
  host::require_data(op, "x", x, made.x.count);
  host::require_data(op, "q", q, made.x.count);
  host::require_device(op, "q", q, "x", x.device);
  const auto bytes = static_cast<std::int32_t>(size_of(x.dtype));
  const std::int32_t aligned =
      host::alignment_of(host::misalignment(x, made.x) | static_cast<std::uint64_t>(made.width * bytes));
  if (aligned < bytes) [[unlikely]] {
    host::refuse_misaligned(op, "x", x);
  }
  made.alignment = std::min(aligned, host::alignment_of(host::misalignment(q, made.q)) * bytes);
  return made;
}

void validate_row_access(std::string_view op, std::int32_t alignment, std::int32_t hidden, DType type) {
  const std::int64_t bytes = hidden * size_of(type);
  if (alignment < size_of(type) || bytes % alignment != 0) {
    host::refuse(op,
                 fmt::format("alignment = {} must be at least an element ({} bytes) and divide a row of {} "
                             "{} ({} bytes); widest valid: {}",
                             alignment, size_of(type), hidden, name_of(type), bytes,
                             host::alignment_of(static_cast<std::uint64_t>(bytes))));
  }
}

void apply_row_settings(const OpDefinition& op, Call& call, const Bindings& bindings, std::size_t alignment) {
  if (const auto wanted = host::setting(op, bindings, "alignment");
      wanted && *wanted < call.spec[alignment]) {
    call.spec.values[alignment] = *wanted;
    op.validate(call.spec);
  }
  check_settings_agree(op, call.spec, bindings);
}

ParamSpec row_hidden_param() {
  return host::integer_param("hidden", 1, max_row_width, std::nullopt, "elements of a row");
}

ParamSpec row_alignment_param() {
  return host::listed_param("alignment", {2, 4, 8, 16}, 16,
                            "bytes of x per access; derived from the tensors' pointers, strides and width");
}

TensorPlan plan_row_input(const OpDefinition& op, const Bindings& bindings, std::int64_t rows) {
  const std::optional<std::int32_t> width = host::setting(op, bindings, "hidden");
  if (!width) {
    host::refuse(op.name, "parameter hidden is required to make inputs; give it as hidden=VALUE");
  }
  const DType type = host::dtype(host::setting(op, bindings, "x_dtype").value_or(host::number(DType::bf16)));
  return {"x", type, {rows, *width}, {}, {}};
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
  const auto add = [&](const char* label, std::int64_t width) {
    if (width < 1 || width > max_row_width) {
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
  add("attention and MLP input", model.hidden);
  add("o_proj input", model.heads * model.head_dim);
  add("experts' down_proj input", model.moe_intermediate);
  add("dense down_proj input", model.intermediate);
  return cases;
}

}  // namespace kerncast::quant
