#include "templates/norm/shared/row_norm.hpp"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "templates/host/tensor_check.hpp"

namespace kerncast::norm {

using namespace row_params;

void NormChecks::add(std::string_view name, const TensorView& view, const host::Rows& rows,
                     AccessLimit limit) {
  const host::TensorCheck check(op_, name, view);
  check.has_shape_of("x", *x_).has_data(rows_.count).is_on_device_of("x", *x_);
  std::int32_t access = check.access_bytes(rows, x_bytes_);
  if (limit == AccessLimit::one_16_byte) {
    access = std::min(access, static_cast<std::int32_t>(16 * x_bytes_ / size_of(view.dtype)));
  }
  alignment_ = std::min(alignment_, access);
}

std::int64_t NormChecks::input(std::string_view name, const TensorView& view, AccessLimit limit) {
  const host::Rows rows = host::contiguous_rows(op_, name, view);
  host::require_float(op_, name, view);
  add(name, view, rows, limit);
  return rows.stride;
}

std::int64_t NormChecks::output(std::string_view name, const TensorView& view, AccessLimit limit) {
  const host::Rows rows = host::output_rows(op_, name, view);
  host::require_float(op_, name, view);
  add(name, view, rows, limit);
  return rows.stride;
}

std::int64_t NormChecks::output_of_any_type(std::string_view name, const TensorView& view) {
  const host::Rows rows = host::output_rows(op_, name, view);
  add(name, view, rows, AccessLimit::several_16_byte);
  return rows.stride;
}

std::int64_t NormChecks::output_of_halves(std::string_view name, const TensorView& view) {
  const host::TensorCheck check(op_, name, view);
  const host::Rows rows = check.has_dtype(DType::u8).output_rows();
  check.has_rows_like("x", *x_, width() / 2).has_data(rows_.count).is_on_device_of("x", *x_);
  alignment_ = std::min(alignment_, check.access_bytes(rows, 2 * x_bytes_));
  return rows.stride;
}

void NormChecks::vector(std::string_view name, const TensorView& view) {
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
  alignment_ = std::min(alignment_, host::aligned_access_bytes(op_, name, view, rows, x_bytes_));
}

DType NormChecks::affine(const TensorView& weight, const TensorView& bias) {
  vector("weight", weight);
  vector("bias", bias);
  if (!weight.absent() && !bias.absent() && weight.dtype != bias.dtype) [[unlikely]] {
    host::refuse_dtype(op_, "bias", bias.dtype, fmt::format("weight's {}", name_of(weight.dtype)));
  }
  return !weight.absent() ? weight.dtype : !bias.absent() ? bias.dtype : x_->dtype;
}

host::BroadcastOperand NormChecks::broadcast(std::string_view name, const TensorView& view, DType type) {
  const host::BroadcastOperand made =
      host::broadcast(op_, name, view, rows_.count, width(), x_bytes_, x_->device);
  if (!view.absent() && view.dtype != type) [[unlikely]] {
    host::refuse_dtype(op_, name, view.dtype,
                       fmt::format("{}, as the other operands that modulate x", name_of(type)));
  }
  alignment_ = std::min(alignment_, made.access);
  return made;
}

Call NormChecks::call(DType y_type) const {
  Call call;
  call.spec.values[x_dtype] = host::to_param(x_->dtype);
  call.spec.values[y_dtype] = host::to_param(y_type);
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

void validate_rows(std::string_view op, const Specialisation& spec,
                   std::initializer_list<std::size_t> beside) {
  const DType x = host::dtype_from_param(spec[x_dtype]);
  host::validate_alignment(op, spec[alignment], spec[hidden], x);
  for (const std::size_t param : beside) {
    const DType other = host::dtype_from_param(spec[param]);
    const std::int32_t most = static_cast<std::int32_t>(16 * size_of(x) / size_of(other));
    if (spec[alignment] > most) [[unlikely]] {
      host::refuse(op,
                   fmt::format("alignment = {} takes {} elements of {} at once, and 16 bytes hold {} of {}, "
                               "which x is normalised with; set alignment to {}",
                               spec[alignment], spec[alignment] / size_of(x), name_of(x), 16 / size_of(other),
                               name_of(other), most));
    }
  }
}

std::int64_t default_row_vectors(const Specialisation& spec) {
  // Two vectors in flight per thread; one if the exact arithmetic of f32 output makes each element costly.
  const std::int64_t width = spec[alignment] / size_of(host::dtype_from_param(spec[x_dtype]));
  return host::dtype_from_param(spec[y_dtype]) == DType::f32 && width > 4 ? 1 : 2;
}

namespace {

/// Most elements of a row that a number of warps that is no power of two may share, if the widest element has
/// `widest` bytes: one span of 16 bytes for each of the virtual lanes of templates/device/row_sum.cuh.
std::int64_t most_of_whole_warps(std::int64_t widest) {
  constexpr std::int64_t virtual_lanes = 1024;
  return virtual_lanes * 16 / widest;
}

}  // namespace

std::int32_t row_lanes(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows,
                       std::int64_t taken, const RowCost& cost) {
  const std::int64_t bytes = size_of(host::dtype_from_param(spec[x_dtype]));
  host::RowWork work;
  work.vectors = spec[hidden] * bytes / spec[alignment];
  work.vector_elements = static_cast<std::int32_t>(spec[alignment] / bytes);
  work.vector_bytes = spec[alignment];
  work.cost = cost;
  work.whole_warps =
      spec[hidden] <= most_of_whole_warps(cost.widest > 0 ? cost.widest : widest_of<x_dtype, y_dtype>(spec));
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

std::string row_sum_defect(const Specialisation& spec, const Tunables& tunables, std::int64_t widest) {
  if (std::string defect = host::row_block_defect(tunables[threads], tunables[rows_per_block]);
      !defect.empty()) {
    return defect;
  }
  const std::int32_t lanes = tunables[threads] / tunables[rows_per_block];
  const std::int64_t most = most_of_whole_warps(widest);
  if (host::power_of_two_above(lanes) == lanes || spec[hidden] <= most) {
    return {};
  }
  return fmt::format(
      "a row of {} elements would have {} warps; rows of more than {} need 1, 2, 4, 8, 16 or 32, to be "
      "summed "
      "up in an order that does not depend on the warps",
      spec[hidden], lanes / 32, most);
}

LaunchGeometry row_geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                            std::int64_t rows) noexcept {
  LaunchGeometry made = host::linear_grid(host::divide_up(rows, tunables[rows_per_block]));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

ParamSpec float_dtype_param(const char* doc) {
  return host::dtype_param({DType::bf16, DType::f16, DType::f32}, DType::bf16, doc);
}

ParamSpec round_residual_param() {
  return host::flag_param(false, "normalise the sum after it was rounded to residual's dtype");
}

void add_row_params(OpDefinition& op) {
  op.params =
      host::params(host::param<x_dtype>(float_dtype_param("element type of x")),
                   host::param<y_dtype>(float_dtype_param("element type of y")),
                   host::param<hidden>(host::integer_param(1, max_hidden, std::nullopt, "elements of a row")),
                   host::param<alignment>(host::listed_param(
                       {2, 4, 8, 16}, 16,
                       "bytes of x per access; derived from the tensors' pointers, strides and width")));
  op.tunables =
      host::tunables(host::tunable_range<threads>("threads of a block", 32, 1024, 32),
                     host::tunable<rows_per_block>("rows that share a block", {1, 2, 4, 8, 16, 32}));
  op.default_tunables = [](const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
    return row_tunables(spec, device, rows, {});
  };
  op.geometry = row_geometry;
  op.tunables_defect = row_tunables_defect<x_dtype, y_dtype>;
}

InputPlans::InputPlans(const OpDefinition& op, const Bindings& bindings, std::int64_t rows)
    : op_(op), bindings_(bindings), rows_(rows), width_(host::required_param(op, bindings, "hidden")) {}

DType InputPlans::type_of(std::string_view param) const {
  return host::dtype_setting(op_, bindings_, param,
                             host::dtype_setting(op_, bindings_, "x_dtype", DType::bf16));
}

InputPlans& InputPlans::rows(std::string name, std::string_view type) {
  plans_.push_back({std::move(name), type_of(type), {rows_, width_}, {}, {}});
  return *this;
}

InputPlans& InputPlans::vector(std::string name, std::string_view wanted) {
  const int flag = find_param(op_, wanted);
  const std::int32_t otherwise = op_.params.at(static_cast<std::size_t>(flag)).default_value.value_or(0);
  if (host::setting(op_, bindings_, wanted).value_or(otherwise) != 0) {
    plans_.push_back({std::move(name), type_of("weight_dtype"), {width_}, {}, {}});
  }
  return *this;
}

InputPlans& InputPlans::broadcast(std::string name, std::string_view form) {
  host::plan_broadcast(plans_, op_, bindings_, std::move(name), form, type_of("modulation_dtype"), rows_,
                       width_);
  return *this;
}

TensorPlan plan_y(const OpDefinition& op, const Bindings& bindings) {
  const TensorView& x = bindings.require_tensor(op.name, "x");
  TensorPlan y;
  y.name = "y";
  y.dtype = host::dtype_setting(op, bindings, "y_dtype", x.dtype);
  y.shape.assign(x.shape.begin(), x.shape.begin() + x.rank);
  return y;
}

void add_row_case(std::vector<ModelCase>& cases, const ModelConfig& model, std::string label,
                  std::int64_t width) {
  if (width < 1 || width > max_hidden || !host::is_float(model.dtype)) {
    return;
  }
  const std::string type(name_of(model.dtype));
  ModelCase made;
  made.label = std::move(label);
  made.params = {{"x_dtype", type}, {"y_dtype", type}, {"hidden", std::to_string(width)}};
  if (const std::int32_t aligned =
          host::alignment_of(static_cast<std::uint64_t>(width * size_of(model.dtype)));
      aligned < 16) {
    made.params.emplace_back("alignment", std::to_string(aligned));
  }
  made.scalars = {{"eps", model.norm_eps}};
  cases.push_back(std::move(made));
}

std::vector<ModelCase> l2_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  for (const ModelNorm& norm : model.norms) {
    if (norm.kind == NormKind::l2) {
      add_row_case(cases, model, norm.place, norm.width);
    }
  }
  return cases;
}

void add_weighted_row_case(std::vector<ModelCase>& cases, const ModelConfig& model, std::string label,
                           std::int64_t width) {
  const std::size_t before = cases.size();
  add_row_case(cases, model, std::move(label), width);
  if (cases.size() > before) {
    cases.back().params.emplace_back("weight_dtype", std::string(name_of(model.dtype)));
  }
}

void add_rms_case(std::vector<ModelCase>& cases, const ModelConfig& model, const ModelNorm& norm) {
  const std::size_t before = cases.size();
  add_weighted_row_case(cases, model, norm.place, norm.width);
  if (cases.size() == before) {
    return;
  }
  if (!norm.weight) {
    cases.back().params.emplace_back("has_weight", "false");
  }
  if (norm.f32) {
    for (auto& [name, value] : cases.back().params) {
      value = name.ends_with("_dtype") ? "f32" : value;
    }
  }
  cases.back().scalars.emplace_back("weight_offset", norm.weight_offset);
}

}  // namespace kerncast::norm
