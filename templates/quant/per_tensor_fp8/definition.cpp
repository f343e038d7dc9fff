#include <kerncast/ops/quant/per_tensor_fp8.hpp>

#include <fmt/format.h>

#include <bit>

#include "templates/host/launch_cost.hpp"
#include "templates/quant/per_tensor_fp8/kernel_args.h"
#include "templates/quant/per_tensor_fp8/spec_index.hpp"
#include "templates/quant/shared/row_operands.hpp"

namespace kerncast {
namespace quant {
namespace {

using namespace per_tensor_fp8_params;

constexpr std::string_view op_name = "quant.per_tensor_fp8";

void validate(const Specialisation& spec) {
  validate_row_access(op_name, spec[alignment], spec[hidden], host::dtype(spec[x_dtype]));
}

std::int64_t vectors_of_row(const Specialisation& spec) {
  return spec[hidden] * size_of(host::dtype(spec[x_dtype])) / spec[alignment];
}

std::int32_t width_of(const Specialisation& spec) {
  return static_cast<std::int32_t>(spec[alignment] / size_of(host::dtype(spec[x_dtype])));
}

/// Blocks of the stage that quantises: as many as there are tiles, but where each reads all partial results
/// no more than fill the device.
std::int64_t blocks_of(const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device,
                       std::int64_t rows) noexcept {
  const std::int64_t tiles =
      host::divide_up(rows * vectors_of_row(spec), tunables[threads] * tunables[vectors]);
  const std::int64_t filled = std::int64_t{device.sm_count} * 2048 / tunables[threads];
  return std::clamp<std::int64_t>(tiles, 1, spec[dynamic] != 0 ? filled : std::int64_t{0x7fffffff});
}

LaunchGeometry amax_geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                             std::int64_t) noexcept {
  LaunchGeometry made;
  made.grid[0] = spec[dynamic] != 0 ? static_cast<std::uint32_t>(tunables[partials]) : 0U;
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device,
                        std::int64_t rows) noexcept {
  LaunchGeometry made;
  made.grid[0] = static_cast<std::uint32_t>(blocks_of(spec, tunables, device, rows));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  constexpr std::int32_t fewest_partials = 8;
  const std::int64_t most = host::bucket_ceiling(rows);
  const std::int64_t items = most * vectors_of_row(spec);
  // All multiprocessors first, then more in flight in each.
  const std::int64_t each = host::divide_up(items, device.sm_count);
  Tunables tunables{{each <= 128    ? 128
                     : each <= 4096 ? 256
                                    : 512,
                     each <= 256   ? 1
                     : each <= 512 ? 2
                                   : 4,
                     fewest_partials}};
  if (spec[dynamic] == 0) {
    const Tunables choices[] = {
        tunables, {{128, 1, fewest_partials}}, {{256, 1, fewest_partials}}, {{256, 2, fewest_partials}}};
    // Before sm_89 fp8 is converted by a dozen instructions.
    const host::LaunchWork work{.vectors = items,
                                .bytes = items * (spec[alignment] + width_of(spec)),
                                .once = 60,
                                .each = (device.sm < 89 ? 22 : 8) * width_of(spec)};
    return host::quickest<Tunables>(choices, [&](const Tunables& choice) {
      return host::launch_clocks(geometry(spec, choice, device, most), choice[vectors], work, device);
    });
  }
  // Every block reads all partial results: no more of them than make a 64th of what both stages read of x,
  // but as many as a few rows have blocks.
  const std::int64_t blocks = blocks_of(spec, tunables, device, most);
  const std::int64_t fair = items * spec[alignment] / (128 * blocks);
  const std::int64_t spread = most <= 64 && items / tunables[threads] >= 64 ? 64 : fewest_partials;
  const auto made = static_cast<std::uint64_t>(std::max<std::int64_t>({fair, spread, fewest_partials}));
  tunables.values[partials] = static_cast<std::int32_t>(std::min<std::uint64_t>(std::bit_floor(made), 1024));
  return tunables;
}

Call bind(const Bindings& bindings) {
  PerTensorFp8 arguments;
  arguments.x = bindings.require_tensor(op_name, "x");
  arguments.q = bindings.require_tensor(op_name, "q");
  arguments.scale = bindings.tensor_or_absent("scale");
  arguments.s = bindings.tensor_or_absent("s");
  arguments.workspace = bindings.tensor_or_absent("workspace");
  Call call = per_tensor_fp8_call(arguments);
  apply_row_settings(per_tensor_fp8_op(), call, bindings, alignment);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  std::vector<TensorPlan> plans{plan_row_input(per_tensor_fp8_op(), bindings, rows)};
  if (host::setting(per_tensor_fp8_op(), bindings, "dynamic").value_or(1) == 0) {
    plans.push_back({"scale", DType::f32, {1}, {}, {}});
  }
  return plans;
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  std::vector<TensorPlan> plans{plan_row_output(per_tensor_fp8_op(), bindings, DType::fp8_e4m3)};
  if (bindings.tensor_or_absent("scale").absent()) {
    plans.push_back({"s", DType::f32, {1}, {}, {}});
    plans.push_back({"workspace", DType::f32, {per_tensor_fp8_workspace_elements}, {}, {}});
  }
  return plans;
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases = linear_input_cases(model, {{"dynamic", "true"}});
  const std::vector<ModelCase> given = linear_input_cases(model, {{"dynamic", "false"}});
  cases.insert(cases.end(), given.begin(), given.end());
  return cases;
}

OpDefinition make_definition() {
  OpDefinition op;
  op.name = op_name;
  op.summary = "Quantisation to fp8 with one scale for the whole tensor, given or found";
  op.formula =
      "static: q = sat(x / scale); dynamic: s = max(amax(x), 1e-10) / 448, q = sat(x / s). NaN is passed "
      "over "
      "by amax and gives 0x7f (sgl-kernel per_tensor_quant_fp8, without its memset)";
  op.include = "quant/per_tensor_fp8/kernel.cuh";
  op.kernel = "kerncast::quant::per_tensor_amax_kernel";
  op.later_stages = {{"kerncast::quant::per_tensor_fp8_kernel", geometry}};
  op.arguments_type = "kerncast::quant::PerTensorFp8KernelArgs";
  op.params = {
      host::dtype_param("x_dtype", {DType::bf16, DType::f16, DType::f32}, DType::bf16, "element type of x"),
      host::dtype_param("q_dtype", {DType::fp8_e4m3}, DType::fp8_e4m3, "element type of q"),
      row_hidden_param(),
      row_alignment_param(),
      host::flag_param("dynamic", true, "find the scale; false: scale is given"),
  };
  op.tunables = {
      {"threads", "threads of a block", {128, 256, 512}},
      {"vectors", "vectors of x that a thread has in flight", {1, 2, 4}},
      {"partials", "blocks of the first stage", {8, 16, 32, 64, 128, 256, 512, 1024}},
  };
  op.tensors = {
      {"x", Direction::in, false, "[..., hidden], x_dtype; rows may be strided"},
      {"scale", Direction::in, true, "static: [1], f32, a positive normal number"},
      {"q", Direction::out, false, "shape of x, fp8_e4m3; rows may be strided"},
      {"s", Direction::out, true, "dynamic: [1], f32"},
      {"workspace", Direction::out, true, "dynamic: [1024], f32, overwritten"},
  };
  op.validate = validate;
  op.default_tunables = default_tunables;
  op.geometry = amax_geometry;
  op.bind = bind;
  op.plan_outputs = plan_outputs;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}

/// Checks a contiguous f32 tensor of `elements`.
float* floats(std::string_view name, const TensorView& view, std::int64_t elements, int device,
              std::int64_t rows) {
  if (view.absent()) [[unlikely]] {
    host::refuse_rank(op_name, name, view);
  }
  if (view.dtype != DType::f32) [[unlikely]] {
    host::refuse_dtype(op_name, name, view.dtype, "f32");
  }
  if (view.rank != 1 || view.dim(0) != elements || (elements > 1 && view.stride(0) != 1)) [[unlikely]] {
    host::refuse_shape(op_name, name, view, fmt::format("shape [{}], contiguous", elements));
  }
  host::require_data(op_name, name, view, rows);
  host::require_device(op_name, name, view, "x", device);
  if (reinterpret_cast<std::uintptr_t>(view.data) % 4 != 0) [[unlikely]] {
    host::refuse_misaligned(op_name, name, view);
  }
  return static_cast<float*>(view.data);
}

}  // namespace

const OpDefinition& per_tensor_fp8_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call per_tensor_fp8_call(const PerTensorFp8& arguments) {
  const TensorView& x = arguments.x;
  const RowOperands rows = row_operands(op_name, x, arguments.q, DType::fp8_e4m3);
  const bool finds = arguments.scale.absent();
  if (!finds && !arguments.s.absent()) [[unlikely]] {
    host::refuse(op_name, "both 'scale' (static) and 's' (dynamic) are given; give one");
  }
  PerTensorFp8KernelArgs kernel{};
  if (finds) {
    kernel.s = floats("s", arguments.s, 1, x.device, rows.x.count);
    kernel.partial =
        floats("workspace", arguments.workspace, per_tensor_fp8_workspace_elements, x.device, rows.x.count);
  } else {
    kernel.scale = floats("scale", arguments.scale, 1, x.device, rows.x.count);
  }
  kernel.x = x.data;
  kernel.q = arguments.q.data;
  kernel.rows = rows.x.count;
  kernel.x_stride = rows.x.stride;
  kernel.q_stride = rows.q.stride;

  Call call;
  call.spec.values[x_dtype] = host::number(x.dtype);
  call.spec.values[q_dtype] = host::number(DType::fp8_e4m3);
  call.spec.values[hidden] = static_cast<std::int32_t>(rows.width);
  call.spec.values[alignment] = rows.alignment;
  call.spec.values[dynamic] = finds ? 1 : 0;
  call.rows = rows.x.count;
  call.device = x.device;
  call.set_arguments(kernel);
  return call;
}

void per_tensor_fp8(Runtime& runtime, const PerTensorFp8& arguments, Stream stream) {
  runtime.dispatch(per_tensor_fp8_op(), per_tensor_fp8_call(arguments), stream);
}

PreparedLaunch prepare_per_tensor_fp8(Runtime& runtime, const PerTensorFp8& arguments) {
  return runtime.prepare(per_tensor_fp8_op(), per_tensor_fp8_call(arguments));
}

}  // namespace quant

namespace ops {
OpDefinition quant_per_tensor_fp8_definition();
OpDefinition quant_per_tensor_fp8_definition() {
  return quant::make_definition();
}
}  // namespace ops
}  // namespace kerncast
