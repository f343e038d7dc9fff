#include <kerncast/ops/quant/per_tensor_fp8.hpp>

#include <algorithm>
#include <bit>

#include "templates/host/define_op.hpp"
#include "templates/host/launch_cost.hpp"
#include "templates/host/overlap.hpp"
#include "templates/host/typed_op.hpp"
#include "templates/quant/per_tensor_fp8/kernel_args.h"
#include "templates/quant/per_tensor_fp8/spec_index.hpp"
#include "templates/quant/shared/operand_checks.hpp"
#include "templates/quant/shared/row_operands.hpp"

namespace kerncast::quant {
namespace {

using namespace per_tensor_fp8_params;

void describe(host::NamedArguments& named, PerTensorFp8& call) {
  named.input("x", call.x, "[..., hidden], x_dtype; rows may be strided");
  named.optional_input("scale", call.scale, "static: [1], f32, positive");
  named.output("q", call.q, "shape of x, fp8_e4m3; rows may be strided");
  named.optional_output("s", call.s, "dynamic: [1], f32");
  named.optional_output("workspace", call.workspace, "dynamic: [1024], f32, overwritten");
}

void validate(const Specialisation& spec) {
  host::validate_alignment(PerTensorFp8::op_name, spec[alignment], spec[hidden],
                           host::dtype_from_param(spec[x_dtype]));
}

std::int64_t vectors_of_row(const Specialisation& spec) {
  return std::int64_t{spec[hidden]} * size_of(host::dtype_from_param(spec[x_dtype])) / spec[alignment];
}

/// Elements of a vector.
std::int32_t width_of(const Specialisation& spec) {
  return static_cast<std::int32_t>(spec[alignment] / size_of(host::dtype_from_param(spec[x_dtype])));
}

/// Number of blocks of the stage that quantises: one for each tile. If every block reads all partial results,
/// at most as many as fill the device.
std::int64_t blocks_of(const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device,
                       std::int64_t rows) noexcept {
  const std::int64_t tiles =
      host::divide_up(rows * vectors_of_row(spec), std::int64_t{tunables[threads]} * tunables[vectors]);
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
  // Use every multiprocessor first, then put more loads in flight in each.
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
    // Before sm_89 a conversion to fp8 takes a dozen instructions.
    const host::LaunchWork work{.vectors = items,
                                .bytes = items * (spec[alignment] + width_of(spec)),
                                .once = 60,
                                .each = (device.sm < 89 ? 22 : 8) * width_of(spec)};
    return host::quickest<Tunables>(choices, [&](const Tunables& choice) {
      return host::launch_clocks(geometry(spec, choice, device, most), choice[vectors], work, device);
    });
  }
  // Every block reads all partial results, so their total is limited to a 64th of what both stages read of x.
  // A few wide rows still get enough blocks in the first stage.
  const std::int64_t blocks = blocks_of(spec, tunables, device, most);
  const std::int64_t fair = items * spec[alignment] / (128 * blocks);
  const std::int64_t spread = most <= 64 && items / tunables[threads] >= 64 ? 64 : fewest_partials;
  const auto made = static_cast<std::uint64_t>(std::max<std::int64_t>({fair, spread, fewest_partials}));
  tunables.values[partials] = static_cast<std::int32_t>(std::min<std::uint64_t>(std::bit_floor(made), 1024));
  return tunables;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  std::vector<TensorPlan> plans{plan_row_input(definition_of<PerTensorFp8>(), bindings, rows)};
  if (host::setting(definition_of<PerTensorFp8>(), bindings, "dynamic").value_or(1) == 0) {
    plans.push_back({"scale", DType::f32, {1}, {}, {}});
  }
  return plans;
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  std::vector<TensorPlan> plans{plan_row_output(definition_of<PerTensorFp8>(), bindings, DType::fp8_e4m3)};
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

/// Checks `view` as a contiguous f32 tensor of `elements`.
float* floats(std::string_view name, const TensorView& view, std::int64_t elements, const TensorView& x,
              std::int64_t rows) {
  require_vector(PerTensorFp8::op_name, name, view, DType::f32, elements, "x", x, rows);
  return static_cast<float*>(view.data);
}

}  // namespace

Call bind(const PerTensorFp8& arguments) {
  const TensorView& x = arguments.x;
  const RowOperands rows = row_operands(PerTensorFp8::op_name, x, arguments.q, DType::fp8_e4m3);
  const bool finds = arguments.scale.absent();
  if (!finds && !arguments.s.absent()) [[unlikely]] {
    host::refuse(PerTensorFp8::op_name, "both 'scale' (static) and 's' (dynamic) are given; give one");
  }
  // If the scale is computed, the kernel runs even without rows, to write the scale of zeros.
  const std::int64_t count = finds ? std::max<std::int64_t>(rows.x.count, 1) : rows.x.count;
  const PerTensorFp8KernelArgs kernel{
      .x = x.data,
      .q = arguments.q.data,
      .scale = finds ? nullptr : floats("scale", arguments.scale, 1, x, count),
      .s = finds ? floats("s", arguments.s, 1, x, count) : nullptr,
      .partial = finds ? floats("workspace", arguments.workspace, per_tensor_fp8_workspace_elements, x, count)
                       : nullptr,
      .rows = rows.x.count,
      .x_stride = rows.x.stride,
      .q_stride = rows.q.stride};
  host::require_apart(PerTensorFp8::op_name,
                      {{"q", arguments.q}, {"s", arguments.s}, {"workspace", arguments.workspace}},
                      {{"x", x}, {"scale", arguments.scale}});

  Call call;
  call.spec.values[x_dtype] = host::to_param(x.dtype);
  call.spec.values[q_dtype] = host::to_param(DType::fp8_e4m3);
  call.spec.values[hidden] = static_cast<std::int32_t>(rows.width);
  call.spec.values[alignment] = rows.alignment;
  call.spec.values[dynamic] = finds ? 1 : 0;
  call.rows = count;
  call.device = x.device;
  call.set_arguments(kernel);
  return call;
}

}  // namespace kerncast::quant

KERNCAST_OP(quant, per_tensor_fp8) {
  using namespace quant;
  using namespace per_tensor_fp8_params;
  OpDefinition op = host::define<PerTensorFp8, describe>();
  op.summary = "Quantisation to fp8 with one scale for the whole tensor, given or computed";
  op.formula =
      "static: q = sat(x / scale); dynamic: s = max(amax(x), 1e-10) / 448, q = sat(x / s). amax ignores NaN, "
      "which "
      "gives 0x7f (sgl-kernel per_tensor_quant_fp8, without its memset)";
  op.kernel = "kerncast::quant::per_tensor_amax_kernel";
  op.later_stages = {{"kerncast::quant::per_tensor_fp8_kernel", geometry}};
  op.params = host::params(
      host::param<x_dtype>(
          host::dtype_param({DType::bf16, DType::f16, DType::f32}, DType::bf16, "element type of x")),
      host::param<q_dtype>(host::dtype_param({DType::fp8_e4m3}, DType::fp8_e4m3, "element type of q")),
      host::param<hidden>(row_hidden_param()), host::param<alignment>(row_alignment_param()),
      host::param<dynamic>(host::flag_param(true, "compute the scale; false: scale is given")));
  op.tunables = host::tunables(
      host::tunable<threads>("threads of a block",
                             {64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024}),
      host::tunable<vectors>("vectors of x that a thread has in flight", {1, 2, 4}),
      host::tunable<partials>("blocks of the first stage", {8, 16, 32, 64, 128, 256, 512, 1024}));
  op.validate = validate;
  op.default_tunables = default_tunables;
  op.geometry = amax_geometry;
  op.plan_outputs = plan_outputs;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}
