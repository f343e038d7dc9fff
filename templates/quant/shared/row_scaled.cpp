#include "templates/quant/shared/row_scaled.hpp"

#include <fmt/format.h>

#include "templates/host/row_blocks.hpp"
#include "templates/quant/shared/row_operands.hpp"
#include "templates/quant/shared/row_scaled_args.h"
#include "templates/quant/shared/row_scaled_spec_index.hpp"

namespace kerncast::quant {

using namespace row_scaled_params;

namespace {

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t bytes = size_of(host::dtype(spec[x_dtype]));
  host::RowWork work;
  work.vectors = spec[hidden] * bytes / spec[alignment];
  work.vector_elements = static_cast<std::int32_t>(spec[alignment] / bytes);
  work.vector_bytes = spec[alignment];
  work.cost.once = 95;
  // Before sm_89 fp8 is converted by a dozen instructions.
  work.cost.each = host::dtype(spec[q_dtype]) == DType::i8 ? 75 : device.sm < 89 ? 185 : 55;
  // Two vectors in flight per thread.
  const host::RowBlock block = host::row_block(device, rows, host::row_lanes(device, rows, work, 2));
  Tunables tunables;
  tunables.values[threads] = block.threads;
  tunables.values[rows_per_block] = block.rows;
  return tunables;
}

LaunchGeometry geometry(const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  LaunchGeometry made = host::linear_grid(host::divide_up(rows, tunables[rows_per_block]));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

}  // namespace

void row_scaled_validate(const RowScaledVariant& variant, const Specialisation& spec) {
  validate_row_access(variant.op, spec[alignment], spec[hidden], host::dtype(spec[x_dtype]));
}

Call row_scaled_bind(const RowScaledVariant& variant, const Bindings& bindings) {
  Call call = row_scaled_call(
      variant, {bindings.require_tensor(variant.op, "x"), bindings.require_tensor(variant.op, "q"),
                bindings.require_tensor(variant.op, "s")});
  apply_row_settings(OpRegistry::instance().require(variant.op), call, bindings, alignment);
  return call;
}

std::vector<TensorPlan> row_scaled_inputs(const RowScaledVariant& variant, const Bindings& bindings,
                                          std::int64_t rows) {
  return {plan_row_input(OpRegistry::instance().require(variant.op), bindings, rows)};
}

std::vector<TensorPlan> row_scaled_outputs(const RowScaledVariant& variant, const Bindings& bindings) {
  TensorPlan q = plan_row_output(OpRegistry::instance().require(variant.op), bindings, variant.q);
  TensorPlan s{"s", DType::f32, q.shape, {}, {}};
  s.shape.back() = 1;
  return {std::move(q), std::move(s)};
}

OpDefinition row_scaled_definition_base(const RowScaledVariant& variant) {
  OpDefinition op;
  op.name = variant.op;
  op.summary = variant.summary;
  op.formula = variant.formula;
  op.include = fmt::format("quant/{}/kernel.cuh", variant.name);
  op.kernel = fmt::format("kerncast::quant::{}_kernel", variant.name);
  op.arguments_type = "kerncast::quant::RowScaledKernelArgs";
  op.params = {
      host::dtype_param("x_dtype", {DType::bf16, DType::f16, DType::f32}, DType::bf16, "element type of x"),
      host::dtype_param("q_dtype", {variant.q}, variant.q, "element type of q"),
      row_hidden_param(),
      row_alignment_param(),
  };
  op.tunables = {
      {"threads", "threads of a block", {32, 64, 128, 256, 512, 1024}},
      {"rows_per_block", "rows that share a block", {1, 2, 4, 8, 16, 32}},
  };
  op.tensors = {
      {"x", Direction::in, false, "[..., hidden], x_dtype; rows may be strided"},
      {"q", Direction::out, false, "shape of x, q_dtype; rows may be strided"},
      {"s", Direction::out, false, "[..., 1], f32; rows may be strided"},
  };
  op.default_tunables = default_tunables;
  op.geometry = geometry;
  return op;
}

Call row_scaled_call(const RowScaledVariant& variant, const PerToken& arguments) {
  const RowOperands rows = row_operands(variant.op, arguments.x, arguments.q, variant.q);
  const TensorView& s = arguments.s;
  if (s.dtype != DType::f32) [[unlikely]] {
    host::refuse_dtype(variant.op, "s", s.dtype, "f32");
  }
  const host::Rows s_rows = host::output_rows(variant.op, "s", s);
  host::require_rows_like(variant.op, "s", s, "x", arguments.x, 1);
  host::require_data(variant.op, "s", s, rows.x.count);
  host::require_device(variant.op, "s", s, "x", arguments.x.device);
  if (host::alignment_of(host::misalignment(s, s_rows)) < 4) [[unlikely]] {
    host::refuse_misaligned(variant.op, "s", s);
  }
  Call call;
  call.spec.values[x_dtype] = host::number(arguments.x.dtype);
  call.spec.values[q_dtype] = host::number(variant.q);
  call.spec.values[hidden] = static_cast<std::int32_t>(rows.width);
  call.spec.values[alignment] = rows.alignment;
  call.rows = rows.x.count;
  call.device = arguments.x.device;
  call.set_arguments(RowScaledKernelArgs{.x = arguments.x.data,
                                         .q = arguments.q.data,
                                         .s = static_cast<float*>(s.data),
                                         .rows = rows.x.count,
                                         .x_stride = rows.x.stride,
                                         .q_stride = rows.q.stride,
                                         .s_stride = s_rows.stride});
  return call;
}

}  // namespace kerncast::quant
