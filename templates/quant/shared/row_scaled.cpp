#include "templates/quant/shared/row_scaled.hpp"
#include "templates/host/overlap.hpp"

#include "templates/host/row_blocks.hpp"
#include "templates/host/tensor_check.hpp"
#include "templates/quant/shared/row_scaled_args.h"
#include "templates/quant/shared/row_scaled_spec_index.hpp"

namespace kerncast::quant {

using namespace row_scaled_params;

namespace {

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t bytes = size_of(host::dtype_from_param(spec[x_dtype]));
  host::RowWork work;
  work.vectors = spec[hidden] * bytes / spec[alignment];
  work.vector_elements = static_cast<std::int32_t>(spec[alignment] / bytes);
  work.vector_bytes = spec[alignment];
  work.cost.once = 95;
  // Before sm_89 fp8 is converted by a dozen instructions.
  work.cost.each = host::dtype_from_param(spec[q_dtype]) == DType::i8 ? 75 : device.sm < 89 ? 185 : 55;
  work.whole_warps = true;
  // Two vectors in flight per thread.
  const host::RowBlock block = host::row_block(device, rows, host::row_lanes(device, rows, work, 2));
  Tunables tunables;
  tunables.values[threads] = block.threads;
  tunables.values[rows_per_block] = block.rows;
  return tunables;
}

std::string tunables_defect(const Specialisation&, const Tunables& tunables, const DeviceTraits&) {
  return host::row_block_defect(tunables[threads], tunables[rows_per_block]);
}

LaunchGeometry geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  LaunchGeometry made = host::linear_grid(host::divide_up(rows, tunables[rows_per_block]));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

}  // namespace

Call row_scaled_call(std::string_view op, DType q_type, const TensorView& x, const TensorView& q,
                     const TensorView& s) {
  const RowOperands rows = row_operands(op, x, q, q_type);
  const host::TensorCheck s_check(op, "s", s);
  const host::Rows s_rows = s_check.has_dtype(DType::f32).output_rows();
  s_check.has_rows_like("x", x, 1).has_data(rows.x.count).is_on_device_of("x", x).is_aligned(s_rows);
  host::require_apart(op, {{"q", q}, {"s", s}}, {{"x", x}});
  Call call;
  call.spec.values[x_dtype] = host::to_param(x.dtype);
  call.spec.values[q_dtype] = host::to_param(q_type);
  call.spec.values[hidden] = static_cast<std::int32_t>(rows.width);
  call.spec.values[alignment] = rows.alignment;
  call.rows = rows.x.count;
  call.device = x.device;
  call.set_arguments(RowScaledKernelArgs{.x = x.data,
                                         .q = q.data,
                                         .s = static_cast<float*>(s.data),
                                         .rows = rows.x.count,
                                         .x_stride = rows.x.stride,
                                         .q_stride = rows.q.stride,
                                         .s_stride = s_rows.stride});
  return call;
}

void validate_row_scaled(std::string_view op, const Specialisation& spec) {
  host::validate_alignment(op, spec[alignment], spec[hidden], host::dtype_from_param(spec[x_dtype]));
}

std::vector<TensorPlan> row_scaled_outputs(const OpDefinition& op, const Bindings& bindings, DType q_type) {
  TensorPlan q = plan_row_output(op, bindings, q_type);
  TensorPlan s{"s", DType::f32, q.shape, {}, {}};
  s.shape.back() = 1;
  return {std::move(q), std::move(s)};
}

void complete_row_scaled(OpDefinition& op, DType q_type) {
  op.arguments_type = "kerncast::quant::RowScaledKernelArgs";
  op.params =
      host::params(host::param<x_dtype>(host::dtype_param({DType::bf16, DType::f16, DType::f32}, DType::bf16,
                                                          "element type of x")),
                   host::param<q_dtype>(host::dtype_param({q_type}, q_type, "element type of q")),
                   host::param<hidden>(row_hidden_param()), host::param<alignment>(row_alignment_param()));
  op.tunables =
      host::tunables(host::tunable_range<threads>("threads of a block", 32, 1024, 32),
                     host::tunable<rows_per_block>("rows that share a block", {1, 2, 4, 8, 16, 32}));
  op.default_tunables = default_tunables;
  op.geometry = geometry;
  op.tunables_defect = tunables_defect;
  op.model_cases = [](const ModelConfig& model) { return linear_input_cases(model, {}); };
}

}  // namespace kerncast::quant
