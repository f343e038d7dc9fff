#include <kerncast/ops/norm/relative_l1.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "templates/host/checks.hpp"
#include "templates/host/define_op.hpp"
#include "templates/host/overlap.hpp"
#include "templates/host/tensor_check.hpp"
#include "templates/host/typed_op.hpp"
#include "templates/norm/relative_l1/kernel_args.h"
#include "templates/norm/relative_l1/spec_index.hpp"

namespace kerncast::norm {
namespace {

constexpr std::string_view op_name = RelativeL1::op_name;
constexpr std::int32_t max_width = std::numeric_limits<std::int32_t>::max();

using namespace relative_l1_params;

static_assert(relative_l1_workspace == std::int64_t{2} * relative_l1_partials);

void describe(host::NamedArguments& named, RelativeL1& call) {
  named.input("a", call.a, "[..., hidden], dtype; rows may be strided");
  named.input("b", call.b, "shape of a, dtype; rows may be strided");
  named.output("d", call.d, "[1], f32");
  named.output("workspace", call.workspace, "[2048], f64, aligned to 16 bytes; needs no initial value");
}

/// A kernel for strided rows serves contiguous ones too.
void generalise(const OpDefinition& op, Call& call, const Bindings& bindings) {
  if (host::setting(op, bindings, "contiguous") == 0) {
    call.spec.values[contiguous] = 0;
  }
}

void validate(const Specialisation& spec) {
  host::validate_alignment(op_name, spec[alignment], spec[hidden], host::dtype_from_param(spec[dtype]));
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits&, std::int64_t) {
  Tunables tunables;
  tunables.values[threads] = 256;
  tunables.values[vectors] = spec[alignment] == 16 ? 2 : 4;
  return tunables;
}

/// Blocks that sum.
std::int64_t partials_of(const Specialisation& spec, std::int64_t rows) noexcept {
  const std::int64_t row_vectors =
      std::int64_t{spec[hidden]} * size_of(host::dtype_from_param(spec[dtype])) / spec[alignment];
  return std::min<std::int64_t>(host::divide_up(rows * row_vectors, relative_l1_chunk), relative_l1_partials);
}

LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  LaunchGeometry made = host::linear_grid(partials_of(spec, rows));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

LaunchGeometry ratio_geometry(const Specialisation& spec, const Tunables&, const DeviceTraits&,
                              std::int64_t rows) noexcept {
  LaunchGeometry made;
  made.block[0] = static_cast<std::uint32_t>(32 * host::divide_up(partials_of(spec, rows), std::int64_t{32}));
  return made;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = definition_of<RelativeL1>();
  const std::int32_t width = host::required_param(op, bindings, "hidden");
  const DType type = host::dtype_setting(op, bindings, "dtype", DType::bf16);
  return {{"a", type, {rows, width}, {}, {}}, {"b", type, {rows, width}, {}, {}}};
}

std::vector<TensorPlan> plan_outputs(const Bindings&) {
  return {{"d", DType::f32, {1}, {}, {}}, {"workspace", DType::f64, {relative_l1_workspace}, {}, {}}};
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  if (!model.diffusion || !host::is_float(model.dtype) || model.hidden < 1 || model.hidden > max_width) {
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
                  std::int32_t aligned, const TensorView& a, std::int64_t rows) {
  const host::TensorCheck check(op_name, name, view);
  const host::Rows own = check.has_dtype(type).output_rows();
  if (own.count != 1 || view.dim(-1) != elements) [[unlikely]] {
    host::refuse_shape(op_name, name, view, fmt::format("shape [{}]", elements));
  }
  check.has_data(rows).is_on_device_of("a", a);
  if (host::alignment_of(host::misalignment(view, own)) < aligned) [[unlikely]] {
    host::refuse(op_name, fmt::format("the pointer {} of tensor '{}' is not a multiple of {} bytes; align it",
                                      view.data, name, aligned));
  }
}

}  // namespace

Call bind(const RelativeL1& arguments) {
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
  host::TensorCheck(op_name, "b", b).has_data(a_rows.count).is_on_device_of("a", a);
  // Even without rows the kernel runs, to write a d of 0.
  const std::int64_t rows = std::max<std::int64_t>(a_rows.count, 1);
  check_vector("d", arguments.d, DType::f32, 1, 4, a, rows);
  check_vector("workspace", arguments.workspace, DType::f64, relative_l1_workspace, 16, a, rows);
  host::require_apart(op_name, {{"d", arguments.d}, {"workspace", arguments.workspace}},
                      {{"a", a}, {"b", b}});

  const std::int64_t bytes = size_of(a.dtype);
  const bool gapless = a_rows.count <= 1 || (a_rows.stride == width && b_rows.stride == width);
  Call call;
  call.spec.values[dtype] = host::to_param(a.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[alignment] = std::min({host::alignment_of(static_cast<std::uint64_t>(width * bytes)),
                                          host::aligned_access_bytes(op_name, "a", a, a_rows, bytes),
                                          host::aligned_access_bytes(op_name, "b", b, b_rows, bytes)});
  call.spec.values[contiguous] = gapless ? 1 : 0;
  call.rows = rows;
  call.device = a.device;
  call.set_arguments(RelativeL1KernelArgs{
      .a = a.data,
      .b = b.data,
      .d = static_cast<float*>(arguments.d.data),
      .workspace = static_cast<double*>(arguments.workspace.data),
      .rows = a_rows.count,
      .a_stride = a_rows.stride,
      .b_stride = b_rows.stride,
  });
  return call;
}

}  // namespace kerncast::norm

KERNCAST_OP(norm, relative_l1) {
  using namespace norm;
  OpDefinition op = host::define<RelativeL1, norm::describe, norm::generalise>();
  op.summary = "Relative L1 distance of two tensors: the decision of diffusion caches";
  op.formula =
      "d = mean(abs(a - b)) / mean(abs(a)) over all elements, differences in f32, sums in f64 of each eight; "
      "0 where a and b are equal; the same bits on every run (TeaCache, arXiv:2411.19108; Cache-DIT)";
  op.later_stages = {{"kerncast::norm::relative_l1_ratio_kernel", ratio_geometry}};
  op.params = host::params(
      host::param<dtype>(
          host::dtype_param({DType::bf16, DType::f16, DType::f32}, DType::bf16, "element type of a and b")),
      host::param<hidden>(host::integer_param(1, max_width, std::nullopt, "elements of a row")),
      host::param<alignment>(host::listed_param(
          {2, 4, 8, 16}, 16, "bytes per access; derived from pointers, strides and width")),
      host::param<contiguous>(host::flag_param(true, "rows of a and b follow one another without gaps")));
  op.tunables =
      host::tunables(host::tunable<threads>("threads of a block", {128, 256, 512}),
                     host::tunable<vectors>("vectors of each tensor that a thread has in flight", {1, 2, 4}));
  op.validate = validate;
  op.default_tunables = default_tunables;
  op.geometry = geometry;
  op.plan_outputs = plan_outputs;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}
