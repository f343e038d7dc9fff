#include "templates/quant/shared/per_token.hpp"

#include <fmt/format.h>

#include "templates/host/row_blocks.hpp"
#include "templates/quant/shared/dense_rows.hpp"
#include "templates/quant/shared/per_token_args.h"
#include "templates/quant/shared/per_token_params.hpp"

namespace kerncast::quant {

using namespace per_token_params;

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

void per_token_validate(const PerTokenKind& kind, const Specialisation& spec) {
  validate_dense(kind.op, spec[alignment], spec[hidden], host::dtype(spec[x_dtype]));
}

Call per_token_bind(const PerTokenKind& kind, const Bindings& bindings) {
  Call call =
      per_token_call(kind, {bindings.require_tensor(kind.op, "x"), bindings.require_tensor(kind.op, "q"),
                            bindings.require_tensor(kind.op, "s")});
  apply_dense_settings(OpRegistry::instance().require(kind.op), call, bindings, alignment);
  return call;
}

std::vector<TensorPlan> per_token_inputs(const PerTokenKind& kind, const Bindings& bindings,
                                         std::int64_t rows) {
  return {plan_dense_input(OpRegistry::instance().require(kind.op), bindings, rows)};
}

std::vector<TensorPlan> per_token_outputs(const PerTokenKind& kind, const Bindings& bindings) {
  TensorPlan q = plan_dense_output(OpRegistry::instance().require(kind.op), bindings, kind.q);
  TensorPlan s{"s", DType::f32, q.shape, {}, {}};
  s.shape.back() = 1;
  return {std::move(q), std::move(s)};
}

OpDefinition per_token_definition_base(const PerTokenKind& kind) {
  OpDefinition op;
  op.name = kind.op;
  op.summary = kind.summary;
  op.formula = kind.formula;
  op.include = fmt::format("quant/{}/kernel.cuh", kind.name);
  op.kernel = fmt::format("kerncast::quant::{}_kernel", kind.name);
  op.arguments_type = "kerncast::quant::PerTokenKernelArgs";
  op.params = {
      host::dtype_param("x_dtype", {DType::bf16, DType::f16, DType::f32}, DType::bf16, "element type of x"),
      host::dtype_param("q_dtype", {kind.q}, kind.q, "element type of q"),
      dense_hidden_param(),
      dense_alignment_param(),
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

Call per_token_call(const PerTokenKind& kind, const PerToken& arguments) {
  const DenseRows rows = dense_rows(kind.op, arguments.x, arguments.q, kind.q);
  const TensorView& s = arguments.s;
  if (s.dtype != DType::f32) [[unlikely]] {
    host::refuse_dtype(kind.op, "s", s.dtype, "f32");
  }
  const host::Rows s_rows = host::output_rows(kind.op, "s", s);
  host::require_rows_like(kind.op, "s", s, "x", arguments.x, 1);
  host::require_data(kind.op, "s", s, rows.x.count);
  host::require_device(kind.op, "s", s, "x", arguments.x.device);
  if (host::alignment_of(host::misalignment(s, s_rows)) < 4) [[unlikely]] {
    host::refuse_misaligned(kind.op, "s", s);
  }
  Call call;
  call.spec.values[x_dtype] = host::number(arguments.x.dtype);
  call.spec.values[q_dtype] = host::number(kind.q);
  call.spec.values[hidden] = static_cast<std::int32_t>(rows.width);
  call.spec.values[alignment] = rows.alignment;
  call.rows = rows.x.count;
  call.device = arguments.x.device;
  call.set_arguments(PerTokenKernelArgs{arguments.x.data, arguments.q.data, static_cast<float*>(s.data),
                                        rows.x.count, rows.x.stride, rows.q.stride, s_rows.stride});
  return call;
}

}  // namespace kerncast::quant
