#include "templates/quant/shared/packed_rows.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "templates/host/checks.hpp"
#include "templates/quant/shared/packed_rows_args.h"
#include "templates/quant/shared/packed_rows_spec_index.hpp"

namespace kerncast::quant {

using namespace packed_rows_params;

namespace {

/// Heads; a block keeps the rows of all its threads in shared memory.
constexpr std::int64_t max_width = 1024;

std::int64_t wide_bytes(const Specialisation& spec) {
  return size_of(host::dtype(spec[wide_dtype]));
}

/// Threads that share a row, as the kernel has it.
std::int32_t lanes_of(const Specialisation& spec) {
  return std::min(host::power_of_two_above(spec[hidden] * wide_bytes(spec) / spec[alignment]), 32);
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  Tunables tunables;
  // 16 rows to a block make whole sectors of any width; few rows are spread over the multiprocessors.
  const bool few = host::bucket_ceiling(rows) <= std::int64_t{device.sm_count} * 16;
  tunables.values[threads] = few ? 128 : std::clamp(16 * lanes_of(spec), 128, 512);
  return tunables;
}

LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  LaunchGeometry made = host::linear_grid(host::divide_up(rows, tunables[threads] / lanes_of(spec)));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

/// What diffusion transformers exchange between ranks: q, k and v by heads, in FP8 Ulysses.
std::vector<ModelCase> model_cases(const ModelConfig& model) {
  if (!model.layer_norm || !host::is_float(model.dtype) || model.head_dim < 1 || model.head_dim > max_width) {
    return {};
  }
  return {{"q, k, v and attention output by heads",
           {{"wide_dtype", std::string(name_of(model.dtype))}, {"hidden", std::to_string(model.head_dim)}},
           {}}};
}

void require_width(const PackedRowsVariant& variant, std::int64_t width) {
  if (width < 1 || width > max_width) [[unlikely]] {
    host::refuse_range(variant.op, fmt::format("the last dimension of {} (hidden)", variant.wide), width, 1,
                       max_width);
  }
}

TensorPlan plan(const char* name, DType type, const TensorView& like, std::int64_t width) {
  TensorPlan made{name, type, {like.shape.begin(), like.shape.begin() + like.rank}, {}, {}};
  made.shape.back() = width;
  return made;
}

}  // namespace

void packed_rows_validate(const PackedRowsVariant& variant, const Specialisation& spec) {
  const std::int64_t row = spec[hidden] * wide_bytes(spec);
  if (spec[alignment] < wide_bytes(spec) || row % spec[alignment] != 0) {
    host::refuse(variant.op,
                 fmt::format("alignment = {} must be at least an element of {} ({} bytes) and divide a "
                             "row of {} bytes; widest valid: {}",
                             spec[alignment], variant.wide, wide_bytes(spec), row,
                             host::alignment_of(static_cast<std::uint64_t>(row))));
  }
  if (const std::int32_t rest = (spec[hidden] + 4) % spec[packed_alignment];
      spec[contiguous] == 0 && rest != 0) {
    host::refuse(variant.op,
                 fmt::format("packed_alignment = {} must divide rows of {} bytes that do not lie side "
                             "by side; widest valid: {}",
                             spec[packed_alignment], spec[hidden] + 4,
                             host::alignment_of(static_cast<std::uint64_t>(spec[hidden] + 4))));
  }
}

Call packed_rows_bind(const PackedRowsVariant& variant, const Bindings& bindings) {
  const OpDefinition& op = OpRegistry::instance().require(variant.op);
  Call call = packed_rows_call(variant, bindings.require_tensor(variant.op, variant.wide),
                               bindings.require_tensor(variant.op, "packed"));
  // Kernels for narrower access serve better aligned tensors too.
  const auto narrow = [&](const char* name, Param place) {
    if (const auto wanted = host::setting(op, bindings, name); wanted && *wanted < call.spec[place]) {
      call.spec.values[place] = *wanted;
    }
  };
  narrow("alignment", alignment);
  narrow("packed_alignment", packed_alignment);
  packed_rows_validate(variant, call.spec);
  check_settings_agree(op, call.spec, bindings);
  return call;
}

std::vector<TensorPlan> packed_rows_inputs(const PackedRowsVariant& variant, const Bindings& bindings,
                                           std::int64_t rows) {
  const OpDefinition& op = OpRegistry::instance().require(variant.op);
  const std::optional<std::int32_t> width = host::setting(op, bindings, "hidden");
  if (!width) {
    host::refuse(variant.op, "parameter hidden is required to make inputs; give it as hidden=VALUE");
  }
  const DType type =
      host::dtype(host::setting(op, bindings, "wide_dtype").value_or(host::number(DType::bf16)));
  return {variant.packs ? TensorPlan{"x", type, {rows, *width}, {}, {}}
                        : TensorPlan{"packed", DType::u8, {rows, *width + 4}, {}, {}}};
}

std::vector<TensorPlan> packed_rows_outputs(const PackedRowsVariant& variant, const Bindings& bindings) {
  const OpDefinition& op = OpRegistry::instance().require(variant.op);
  const TensorView& input = bindings.require_tensor(variant.op, variant.packs ? "x" : "packed");
  static_cast<void>(host::contiguous_rows(variant.op, variant.packs ? "x" : "packed", input));
  if (variant.packs) {
    return {plan("packed", DType::u8, input, input.dim(-1) + 4)};
  }
  require_width(variant, input.dim(-1) - 4);
  const DType type =
      host::dtype(host::setting(op, bindings, "wide_dtype").value_or(host::number(DType::bf16)));
  return {plan("y", type, input, input.dim(-1) - 4)};
}

OpDefinition packed_rows_definition_base(const PackedRowsVariant& variant) {
  OpDefinition op;
  op.name = variant.op;
  op.summary = variant.summary;
  op.formula = variant.formula;
  op.include = fmt::format("quant/{}/kernel.cuh", variant.name);
  op.kernel = fmt::format("kerncast::quant::{}_kernel", variant.name);
  op.arguments_type = "kerncast::quant::PackedRowsKernelArgs";
  op.params = {
      host::dtype_param("wide_dtype", {DType::bf16, DType::f16, DType::f32}, DType::bf16,
                        fmt::format("element type of {}", variant.wide)),
      host::integer_param("hidden", 1, max_width, std::nullopt, "elements of a row: of a head"),
      host::listed_param("alignment", {2, 4, 8, 16}, 16,
                         fmt::format("bytes of {} per access; derived from the tensors", variant.wide)),
      host::listed_param("packed_alignment", {1, 2, 4, 8, 16}, 16,
                         "bytes of packed per access; derived from the tensors"),
      host::flag_param("contiguous", true, "the rows of packed lie side by side; derived from the tensors"),
  };
  op.tunables = {
      {"threads", "threads of a block", {128, 256, 512}},
  };
  const TensorSpec wide{std::string(variant.wide), variant.packs ? Direction::in : Direction::out, false,
                        "[..., hidden], wide_dtype; rows may be strided"};
  const TensorSpec packed{
      "packed", variant.packs ? Direction::out : Direction::in, false,
      "[..., hidden + 4], u8: hidden e4m3, then their scale, f32, little endian; rows may be "
      "strided"};
  op.tensors = variant.packs ? std::vector{wide, packed} : std::vector{packed, wide};
  op.default_tunables = default_tunables;
  op.geometry = geometry;
  op.model_cases = model_cases;
  return op;
}

Call packed_rows_call(const PackedRowsVariant& variant, const TensorView& wide, const TensorView& packed) {
  host::require_float(variant.op, variant.wide, wide);
  if (packed.dtype != DType::u8) [[unlikely]] {
    host::refuse_dtype(variant.op, "packed", packed.dtype, "u8");
  }
  const host::Rows wide_rows = variant.packs ? host::contiguous_rows(variant.op, variant.wide, wide)
                                             : host::output_rows(variant.op, variant.wide, wide);
  const host::Rows packed_rows = variant.packs ? host::output_rows(variant.op, "packed", packed)
                                               : host::contiguous_rows(variant.op, "packed", packed);
  const std::int64_t width = wide.dim(-1);
  require_width(variant, width);
  host::require_rows_like(variant.op, "packed", packed, variant.wide, wide, width + 4);
  host::require_data(variant.op, variant.wide, wide, wide_rows.count);
  host::require_data(variant.op, "packed", packed, wide_rows.count);
  host::require_device(variant.op, "packed", packed, variant.wide, wide.device);
  const std::int64_t bytes = size_of(wide.dtype);
  const std::int32_t aligned =
      host::alignment_of(host::misalignment(wide, wide_rows) | static_cast<std::uint64_t>(width * bytes));
  if (aligned < bytes) [[unlikely]] {
    host::refuse_misaligned(variant.op, variant.wide, wide);
  }
  // Side by side, the rows of a block, a multiple of 4 in number, are one run of bytes.
  const bool dense = wide_rows.count <= 1 || packed_rows.stride == width + 4;
  const auto address = reinterpret_cast<std::uintptr_t>(packed.data);
  const std::uint64_t run = static_cast<std::uint64_t>(width + 4) * (dense ? 4 : 1);
  const std::uint64_t stride = dense ? 0U : static_cast<std::uint64_t>(packed_rows.stride);

  Call call;
  call.spec.values[wide_dtype] = host::number(wide.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[alignment] = aligned;
  call.spec.values[packed_alignment] = host::alignment_of(address | run | stride);
  call.spec.values[contiguous] = dense ? 1 : 0;
  call.rows = wide_rows.count;
  call.device = wide.device;
  call.set_arguments(PackedRowsKernelArgs{.wide = wide.data,
                                          .packed = static_cast<unsigned char*>(packed.data),
                                          .rows = wide_rows.count,
                                          .wide_stride = wide_rows.stride,
                                          .packed_stride = dense ? width + 4 : packed_rows.stride});
  return call;
}

}  // namespace kerncast::quant
