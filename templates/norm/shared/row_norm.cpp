#include "templates/norm/shared/row_norm.hpp"

#include <fmt/format.h>

#include <limits>
#include <utility>

namespace kerncast::norm {

using namespace row_params;

void RowTensors::add(std::string_view name, const TensorView& view, const host::Rows& rows, Beside beside) {
  if (!host::same_shape(*x_, view)) [[unlikely]] {
    host::refuse_shape(op_, name, view, fmt::format("the shape of x, {}", host::shape_text(*x_)));
  }
  host::require_data(op_, name, view, rows_.count);
  host::require_device(op_, name, view, "x", x_->device);
  std::int32_t limit = host::access_limit(op_, name, view, rows, x_bytes_);
  if (beside == Beside::narrow) {
    limit = std::min(limit, static_cast<std::int32_t>(16 * x_bytes_ / size_of(view.dtype)));
  }
  alignment_ = std::min(alignment_, limit);
}

std::int64_t RowTensors::input(std::string_view name, const TensorView& view, Beside beside) {
  const host::Rows rows = host::contiguous_rows(op_, name, view);
  host::require_float(op_, name, view);
  add(name, view, rows, beside);
  return rows.stride;
}

std::int64_t RowTensors::output(std::string_view name, const TensorView& view, Beside beside) {
  const host::Rows rows = host::output_rows(op_, name, view);
  host::require_float(op_, name, view);
  add(name, view, rows, beside);
  return rows.stride;
}

std::int64_t RowTensors::output_of_any_type(std::string_view name, const TensorView& view) {
  const host::Rows rows = host::output_rows(op_, name, view);
  add(name, view, rows, Beside::wide);
  return rows.stride;
}

void RowTensors::vector(std::string_view name, const TensorView& view) {
  if (view.absent()) {
    return;
  }
  host::require_float(op_, name, view);
  if (view.rank != 1 || view.dim(0) != width()) [[unlikely]] {
    host::refuse_shape(op_, name, view, fmt::format("shape [{}], the last dimension of x", width()));
  }
  const host::Rows rows = host::contiguous_rows(op_, name, view);
  host::require_data(op_, name, view, rows_.count);
  host::require_device(op_, name, view, "x", x_->device);
  alignment_ = std::min(alignment_, host::access_limit(op_, name, view, rows, x_bytes_));
}

DType RowTensors::affine(const TensorView& weight, const TensorView& bias) {
  vector("weight", weight);
  vector("bias", bias);
  if (!weight.absent() && !bias.absent() && weight.dtype != bias.dtype) [[unlikely]] {
    host::refuse_dtype(op_, "bias", bias.dtype, fmt::format("weight's {}", name_of(weight.dtype)));
  }
  return !weight.absent() ? weight.dtype : !bias.absent() ? bias.dtype : x_->dtype;
}

host::BroadcastOperand RowTensors::broadcast(std::string_view name, const TensorView& view, DType type) {
  const host::BroadcastOperand made =
      host::broadcast(op_, name, view, rows_.count, width(), x_bytes_, x_->device);
  if (!view.absent() && view.dtype != type) [[unlikely]] {
    host::refuse_dtype(op_, name, view.dtype, fmt::format("{}, as what else modulates x", name_of(type)));
  }
  alignment_ = std::min(alignment_, made.access);
  return made;
}

Call RowTensors::call(DType weight_type, DType y_type) const {
  Call call;
  call.spec.values[x_dtype] = host::number(x_->dtype);
  call.spec.values[weight_dtype] = host::number(weight_type);
  call.spec.values[y_dtype] = host::number(y_type);
  call.spec.values[hidden] = static_cast<std::int32_t>(width());
  call.spec.values[alignment] = alignment_;
  call.rows = rows_.count;
  call.device = x_->device;
  return call;
}

void require_eps(std::string_view op, float eps) {
  if (!(eps >= 0.0F) || eps > std::numeric_limits<float>::max()) [[unlikely]] {
    host::refuse(op, fmt::format("eps is {}, but must be finite and not negative; 1e-6 is usual", eps));
  }
}

void require_offset(std::string_view op, const TensorView& weight, float offset) {
  if (weight.absent() && offset != 0.0F) [[unlikely]] {
    host::refuse(
        op, fmt::format("weight_offset is {}, but there is no weight to add it to; give a weight or leave "
                        "the offset at 0",
                        offset));
  }
}

void require_apart(std::string_view op, std::string_view name, const TensorView& view, std::string_view other,
                   const TensorView& than) {
  if (view.data != nullptr && view.data == than.data) [[unlikely]] {
    host::refuse(op, fmt::format("tensors '{}' and '{}' share memory, but '{}' is written; give it its own",
                                 name, other, name));
  }
}

void validate_rows(std::string_view op, const Specialisation& spec) {
  const DType type = host::dtype(spec[x_dtype]);
  const std::int64_t bytes = spec[hidden] * size_of(type);
  if (spec[alignment] < size_of(type) || bytes % spec[alignment] != 0) {
    host::refuse(
        op, fmt::format("alignment = {} must be at least an element ({} bytes) and divide a row of {} {} "
                        "({} bytes); widest valid: {}",
                        spec[alignment], size_of(type), spec[hidden], name_of(type), bytes,
                        host::alignment_of(static_cast<std::uint64_t>(bytes))));
  }
}

std::int64_t default_row_vectors(const Specialisation& spec) {
  // Two vectors in flight per thread, one where the exact arithmetic of f32 output makes much of each
  // element.
  const std::int64_t width = spec[alignment] / size_of(host::dtype(spec[x_dtype]));
  return host::dtype(spec[y_dtype]) == DType::f32 && width > 4 ? 1 : 2;
}

std::int32_t row_lanes(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows,
                       std::int64_t taken, const RowCost& cost) {
  const std::int64_t bytes = size_of(host::dtype(spec[x_dtype]));
  host::RowWork work;
  work.vectors = spec[hidden] * bytes / spec[alignment];
  work.vector_elements = static_cast<std::int32_t>(spec[alignment] / bytes);
  work.vector_bytes = spec[alignment];
  work.cost = cost;
  return host::row_lanes(device, rows, work, taken);
}

Tunables row_tunables(const DeviceTraits& device, std::int64_t rows, std::int32_t lanes) {
  const host::RowBlock block = host::row_block(device, rows, lanes);
  Tunables tunables;
  tunables.values[threads] = block.threads;
  tunables.values[rows_per_block] = block.rows;
  return tunables;
}

Tunables row_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows,
                      const RowCost& cost) {
  return row_tunables(device, rows, row_lanes(spec, device, rows, default_row_vectors(spec), cost));
}

LaunchGeometry row_geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                            std::int64_t rows) noexcept {
  LaunchGeometry made = host::linear_grid(host::divide_up(rows, tunables[rows_per_block]));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

void add_row_params(OpDefinition& op) {
  const auto floats = {DType::bf16, DType::f16, DType::f32};
  op.params =
      host::params(host::param<x_dtype>(host::dtype_param(floats, DType::bf16, "element type of x")),
                   host::param<weight_dtype>(host::dtype_param(
                       floats, DType::bf16, "element type of weight; x's where there is no weight")),
                   host::param<y_dtype>(host::dtype_param(floats, DType::bf16, "element type of y")),
                   host::param<hidden>(host::integer_param(1, max_hidden, std::nullopt, "elements of a row")),
                   host::param<alignment>(host::listed_param(
                       {2, 4, 8, 16}, 16,
                       "bytes of x per access; derived from the tensors' pointers, strides and width")));
  op.tunables =
      host::tunables(host::tunable<threads>("threads of a block", {32, 64, 128, 256, 512, 1024}),
                     host::tunable<rows_per_block>("rows that share a block", {1, 2, 4, 8, 16, 32}));
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return row_tunables(spec, device, rows, {});
  };
  op.geometry = row_geometry;
}

OpDefinition row_norm_definition(std::string_view name) {
  OpDefinition op;
  op.name = name;
  op.tensors = {{"x", Direction::in, false, x_doc}};
  op.scalars = {{"eps", 1e-6, eps_doc}};
  add_row_params(op);
  return op;
}

OpDefinition rms_definition(std::string_view name, const std::optional<SecondTensor>& second) {
  OpDefinition op = row_norm_definition(name);
  op.params.push_back(has_weight_param());
  op.params.push_back(hf_rounding_param());
  if (second) {
    op.params.push_back(second->dtype);
    op.tensors.push_back(second->tensor);
  }
  op.tensors.push_back(weight_spec());
  op.tensors.push_back(y_spec());
  op.scalars.push_back(weight_offset_spec());
  return op;
}

TensorSpec residual_spec() {
  return {"residual", Direction::inout, false,
          "shape of x, residual_dtype; x + residual on return; rows may be strided"};
}

TensorSpec weight_spec() {
  return {"weight", Direction::in, true, "[hidden], weight_dtype"};
}

TensorSpec y_spec() {
  return {"y", Direction::out, false, "shape of x, y_dtype; rows may be strided; may be x itself"};
}

ScalarSpec weight_offset_spec() {
  return {"weight_offset", 0.0, "added to the weight (1: Gemma)"};
}

ParamSpec has_weight_param() {
  return host::flag_param("has_weight", true, "multiply by weight + weight_offset");
}

ParamSpec hf_rounding_param() {
  return host::flag_param("hf_rounding", false, "round the normalised row to x's dtype before the weight");
}

ParamSpec residual_dtype_param() {
  return host::dtype_param("residual_dtype", {DType::bf16, DType::f16, DType::f32}, DType::bf16,
                           "element type of residual");
}

void apply_settings(const OpDefinition& op, Call& call, const Bindings& bindings) {
  // The narrowest kernel a caller names serves better aligned tensors too.
  if (const auto wanted = host::setting(op, bindings, "alignment");
      wanted && *wanted < call.spec[alignment]) {
    call.spec.values[alignment] = *wanted;
    op.validate(call.spec);
  }
  check_settings_agree(op, call.spec, bindings);
}

float scalar_or(const Bindings& bindings, std::string_view name, double otherwise) {
  return static_cast<float>(bindings.scalar(name).value_or(otherwise));
}

RowPlans::RowPlans(const OpDefinition& op, const Bindings& bindings, std::int64_t rows)
    : op_(op), bindings_(bindings), rows_(rows) {
  const std::optional<std::int32_t> width = host::setting(op, bindings, "hidden");
  if (!width) {
    host::refuse(op.name, "parameter hidden is required to make inputs; give it as hidden=VALUE");
  }
  width_ = *width;
}

DType RowPlans::type_of(std::string_view param) const {
  const std::int32_t x_type = host::setting(op_, bindings_, "x_dtype").value_or(host::number(DType::bf16));
  return host::dtype(host::setting(op_, bindings_, param).value_or(x_type));
}

void RowPlans::rows(std::string name, std::string_view type) {
  plans_.push_back({std::move(name), type_of(type), {rows_, width_}, {}, {}});
}

void RowPlans::vector(std::string name, std::string_view wanted) {
  const int flag = find_param(op_, wanted);
  const std::int32_t otherwise = op_.params.at(static_cast<std::size_t>(flag)).default_value.value_or(0);
  if (host::setting(op_, bindings_, wanted).value_or(otherwise) != 0) {
    plans_.push_back({std::move(name), type_of("weight_dtype"), {width_}, {}, {}});
  }
}

void RowPlans::broadcast(std::string name, std::string_view form) {
  host::plan_broadcast(plans_, op_, bindings_, std::move(name), form, type_of("modulation_dtype"), rows_,
                       width_);
}

TensorPlan plan_y(const OpDefinition& op, const Bindings& bindings) {
  const TensorView& x = bindings.require_tensor(op.name, "x");
  const std::optional<std::int32_t> type = host::setting(op, bindings, "y_dtype");
  TensorPlan y;
  y.name = "y";
  y.dtype = type ? host::dtype(*type) : x.dtype;
  y.shape.assign(x.shape.begin(), x.shape.begin() + x.rank);
  return y;
}

bool is_wan(const ModelConfig& model) {
  return model.layer_norm &&
         (model.name.find("Wan") != std::string::npos || model.architecture.find("Wan") != std::string::npos);
}

void add_row_case(std::vector<ModelCase>& cases, const ModelConfig& model, std::string label,
                  std::int64_t width) {
  if (width < 1 || width > max_hidden || !host::is_float(model.dtype)) {
    return;
  }
  const std::string type(name_of(model.dtype));
  ModelCase made;
  made.label = std::move(label);
  made.params = {
      {"x_dtype", type}, {"weight_dtype", type}, {"y_dtype", type}, {"hidden", std::to_string(width)}};
  if (const std::int32_t aligned =
          host::alignment_of(static_cast<std::uint64_t>(width * size_of(model.dtype)));
      aligned < 16) {
    made.params.emplace_back("alignment", std::to_string(aligned));
  }
  made.scalars = {{"eps", model.norm_eps}};
  cases.push_back(std::move(made));
}

}  // namespace kerncast::norm
