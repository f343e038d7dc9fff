#include <kerncast/ops/norm/relative_l1.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "templates/host/access.hpp"
#include "templates/norm/relative_l1/kernel_args.h"
#include "templates/norm/relative_l1/spec_index.hpp"

namespace kerncast {
namespace {

constexpr std::string_view op_name = "norm.relative_l1";
constexpr std::int32_t max_width = std::numeric_limits<std::int32_t>::max();

using namespace norm::relative_l1_params;

static_assert(norm::relative_l1_workspace == 2 * norm::relative_l1_partials);

void validate(const Specialisation& spec) {
  const std::int64_t bytes = std::int64_t{spec[hidden]} * size_of(host::dtype(spec[dtype]));
  if (spec[alignment] < size_of(host::dtype(spec[dtype])) || bytes % spec[alignment] != 0) {
    host::refuse(op_name,
                 fmt::format("alignment = {} must be at least an element ({} bytes) and divide a row of {} "
                             "bytes; widest valid: {}",
                             spec[alignment], size_of(host::dtype(spec[dtype])), bytes,
                             host::alignment_of(static_cast<std::uint64_t>(bytes))));
  }
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits&, std::int64_t) {
  Tunables tunables;
  tunables.values[threads] = 256;
  tunables.values[vectors] = spec[alignment] == 16 ? 2 : 4;
  return tunables;
}

LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  const std::int64_t row_vectors =
      std::int64_t{spec[hidden]} * size_of(host::dtype(spec[dtype])) / spec[alignment];
  const std::int64_t blocks =
      host::divide_up(rows * row_vectors, std::int64_t{tunables[threads]} * tunables[vectors]);
  LaunchGeometry made = host::linear_grid(std::min<std::int64_t>(blocks, norm::relative_l1_partials));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

LaunchGeometry ratio_geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                              std::int64_t) noexcept {
  LaunchGeometry made;
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

Call bind(const Bindings& bindings) {
  const OpDefinition& op = norm::relative_l1_op();
  Call call = norm::relative_l1_call({
      .a = bindings.require_tensor(op_name, "a"),
      .b = bindings.require_tensor(op_name, "b"),
      .d = bindings.require_tensor(op_name, "d"),
      .workspace = bindings.require_tensor(op_name, "workspace"),
  });
  // A kernel for narrower access, or for strided rows, serves the others too.
  if (const auto wanted = host::setting(op, bindings, "alignment");
      wanted && *wanted < call.spec[alignment]) {
    call.spec.values[alignment] = *wanted;
    validate(call.spec);
  }
  if (const auto wanted = host::setting(op, bindings, "contiguous"); wanted && *wanted == 0) {
    call.spec.values[contiguous] = 0;
  }
  check_settings_agree(op, call.spec, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = norm::relative_l1_op();
  const std::optional<std::int32_t> width = host::setting(op, bindings, "hidden");
  if (!width) {
    host::refuse(op_name, "parameter hidden is required to make inputs; give it as hidden=VALUE");
  }
  const DType type = host::dtype(host::setting(op, bindings, "dtype").value_or(host::number(DType::bf16)));
  return {{"a", type, {rows, *width}, {}, {}}, {"b", type, {rows, *width}, {}, {}}};
}

std::vector<TensorPlan> plan_outputs(const Bindings&) {
  return {{"d", DType::f32, {1}, {}, {}}, {"workspace", DType::f64, {norm::relative_l1_workspace}, {}, {}}};
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  if (!model.layer_norm || !host::is_float(model.dtype) || model.hidden < 1 || model.hidden > max_width) {
    return {};
  }
  ModelCase made;
  made.label = "first block's residual against that of the step before";
  made.params = {{"dtype", std::string(name_of(model.dtype))}, {"hidden", std::to_string(model.hidden)}};
  if (const std::int32_t aligned =
          host::alignment_of(static_cast<std::uint64_t>(model.hidden * size_of(model.dtype)));
      aligned < 16) {
    made.params.emplace_back("alignment", std::to_string(aligned));
  }
  return {made};
}

/// Checks a vector that is written: d, the workspace.
void check_vector(std::string_view name, const TensorView& view, DType type, std::int64_t elements,
                  std::int32_t aligned, int device, std::int64_t rows) {
  if (view.dtype != type) [[unlikely]] {
    host::refuse_dtype(op_name, name, view.dtype, name_of(type));
  }
  const host::Rows own = host::output_rows(op_name, name, view);
  if (own.count != 1 || view.dim(-1) != elements) [[unlikely]] {
    host::refuse_shape(op_name, name, view, fmt::format("shape [{}]", elements));
  }
  host::require_data(op_name, name, view, rows);
  host::require_device(op_name, name, view, "a", device);
  if (host::alignment_of(host::misalignment(view, own)) < aligned) [[unlikely]] {
    host::refuse(op_name, fmt::format("the pointer {} of tensor '{}' is not a multiple of {} bytes; align it",
                                      view.data, name, aligned));
  }
}

}  // namespace

namespace ops {
OpDefinition norm_relative_l1_definition();
OpDefinition norm_relative_l1_definition() {
  OpDefinition op;
  op.name = op_name;
  op.summary = "Relative L1 distance of two tensors: the decision of diffusion caches";
  op.formula =
      "d = mean(abs(a - b)) / mean(abs(a)) over all elements, differences in f32, sums in f64 of each eight; "
      "0 where a and b are equal; the same bits on every run (TeaCache, arXiv:2411.19108; Cache-DIT)";
  op.include = "norm/relative_l1/kernel.cuh";
  op.kernel = "kerncast::norm::relative_l1_kernel";
  op.arguments_type = "kerncast::norm::RelativeL1KernelArgs";
  op.later_stages = {{"kerncast::norm::relative_l1_ratio_kernel", ratio_geometry}};
  op.params = {
      host::dtype_param("dtype", {DType::bf16, DType::f16, DType::f32}, DType::bf16,
                        "element type of a and b"),
      host::integer_param("hidden", 1, max_width, std::nullopt, "elements of a row"),
      host::listed_param("alignment", {2, 4, 8, 16}, 16,
                         "bytes per access; derived from pointers, strides and width"),
      host::flag_param("contiguous", true, "rows of a and b follow one another without gaps"),
  };
  op.tunables = {
      {"threads", "threads of a block", {128, 256, 512, 1024}},
      {"vectors", "vectors of each tensor that a thread has in flight", {1, 2, 4}},
  };
  op.tensors = {
      {"a", Direction::in, false, "[..., hidden], dtype; rows may be strided"},
      {"b", Direction::in, false, "shape of a, dtype; rows may be strided"},
      {"d", Direction::out, false, "[1], f32"},
      {"workspace", Direction::out, false, "[2048], f64, aligned to 16 bytes; needs no initial value"},
  };
  op.validate = validate;
  op.default_tunables = default_tunables;
  op.geometry = geometry;
  op.bind = bind;
  op.plan_outputs = plan_outputs;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}
}  // namespace ops

namespace norm {

const OpDefinition& relative_l1_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call relative_l1_call(const RelativeL1& arguments) {
  const TensorView& a = arguments.a;
  const TensorView& b = arguments.b;
  host::require_float(op_name, "a", a);
  if (b.dtype != a.dtype) [[unlikely]] {
    host::refuse_dtype(op_name, "b", b.dtype, fmt::format("{}, as a is", name_of(a.dtype)));
  }
  const host::Rows a_rows = host::contiguous_rows(op_name, "a", a);
  const host::Rows b_rows = host::contiguous_rows(op_name, "b", b);
  const std::int64_t width = a.dim(-1);
  if (width < 1 || width > max_width) [[unlikely]] {
    host::refuse_range(op_name, "the last dimension of a (hidden)", width, 1, max_width);
  }
  if (!host::same_shape(a, b)) [[unlikely]] {
    host::refuse_shape(op_name, "b", b, fmt::format("the shape of a, {}", host::shape_text(a)));
  }
  host::require_data(op_name, "a", a, a_rows.count);
  host::require_data(op_name, "b", b, a_rows.count);
  host::require_device(op_name, "b", b, "a", a.device);
  check_vector("d", arguments.d, DType::f32, 1, 4, a.device, a_rows.count);
  check_vector("workspace", arguments.workspace, DType::f64, relative_l1_workspace, 16, a.device,
               a_rows.count);

  const std::int64_t bytes = size_of(a.dtype);
  const bool gapless = a_rows.count <= 1 || (a_rows.stride == width && b_rows.stride == width);
  Call call;
  call.spec.values[dtype] = host::number(a.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[alignment] = std::min({host::alignment_of(static_cast<std::uint64_t>(width * bytes)),
                                          host::access_limit(op_name, "a", a, a_rows, bytes),
                                          host::access_limit(op_name, "b", b, b_rows, bytes)});
  call.spec.values[contiguous] = gapless ? 1 : 0;
  call.rows = a_rows.count;
  call.device = a.device;
  call.set_arguments(RelativeL1KernelArgs{a.data, b.data, static_cast<float*>(arguments.d.data),
                                          static_cast<double*>(arguments.workspace.data), a_rows.count,
                                          a_rows.stride, b_rows.stride});
  return call;
}

void relative_l1(Runtime& runtime, const RelativeL1& arguments, Stream stream) {
  runtime.dispatch(relative_l1_op(), relative_l1_call(arguments), stream);
}

PreparedLaunch prepare_relative_l1(Runtime& runtime, const RelativeL1& arguments) {
  return runtime.prepare(relative_l1_op(), relative_l1_call(arguments));
}

}  // namespace norm
}  // namespace kerncast
