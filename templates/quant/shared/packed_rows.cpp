#include "templates/quant/shared/packed_rows.hpp"
#include "templates/host/overlap.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "templates/host/tensor_check.hpp"
#include "templates/quant/shared/packed_rows_args.h"
#include "templates/quant/shared/packed_rows_spec_index.hpp"

namespace kerncast::quant {

using namespace packed_rows_params;

namespace {

/// A row is one head. A block of threads keeps all its rows in shared memory, which limits their width.
constexpr std::int64_t max_width = 1024;

std::int64_t wide_bytes(const Specialisation& spec) {
  return size_of(host::dtype_from_param(spec[wide_dtype]));
}

/// Number of threads that share a row; packed_lanes() in packed_rows.cuh computes the same.
std::int32_t lanes_of(const Specialisation& spec) {
  return std::min(host::power_of_two_above(spec[hidden] * wide_bytes(spec) / spec[alignment]), 32);
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  Tunables tunables;
  // 16 rows of any width fill whole sectors of memory. Few rows are spread over the multiprocessors.
  const bool few = host::bucket_ceiling(rows) <= std::int64_t{device.sm_count} * 16;
  tunables.values[threads] = few ? 128 : std::clamp(16 * lanes_of(spec), 128, 512);
  return tunables;
}

std::string tunables_defect(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&) {
  const std::int32_t rows = tunables[threads] / lanes_of(spec);
  if (spec[contiguous] == 0 || rows * (spec[hidden] + 4) % spec[packed_alignment] == 0) {
    return {};
  }
  return fmt::format(
      "a block would have {} packed rows of {} bytes, whose end is not aligned to the {} bytes of an access "
      "(packed_alignment)",
      rows, spec[hidden] + 4, spec[packed_alignment]);
}

LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  LaunchGeometry made = host::linear_grid(host::divide_up(rows, tunables[threads] / lanes_of(spec)));
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

/// Diffusion transformers exchange q, k and v by heads between ranks (FP8 Ulysses).
std::vector<ModelCase> model_cases(const ModelConfig& model) {
  if (!model.diffusion || !host::is_float(model.dtype) || model.head_dim < 1 || model.head_dim > max_width) {
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
  host::validate_alignment(variant.op, spec[alignment], spec[hidden],
                           host::dtype_from_param(spec[wide_dtype]));
  if (const std::int32_t rest = (spec[hidden] + 4) % spec[packed_alignment];
      spec[contiguous] == 0 && rest != 0) {
    host::refuse(
        variant.op,
        fmt::format("packed_alignment = {} must divide rows of {} bytes that are not contiguous; widest "
                    "valid: {}",
                    spec[packed_alignment], spec[hidden] + 4,
                    host::alignment_of(static_cast<std::uint64_t>(std::int64_t{spec[hidden]} + 4))));
  }
}

void narrow_packed_alignment(const OpDefinition& op, Call& call, const Bindings& bindings) {
  if (const auto wanted = host::setting(op, bindings, "packed_alignment");
      wanted && *wanted < call.spec[packed_alignment]) {
    call.spec.values[packed_alignment] = *wanted;
    op.validate(call.spec);
  }
}

std::vector<TensorPlan> packed_rows_inputs(const PackedRowsVariant& variant, const Bindings& bindings,
                                           std::int64_t rows) {
  const OpDefinition& op = OpRegistry::instance().require(variant.op);
  const std::int64_t width = host::required_param(op, bindings, "hidden");
  const DType type = host::dtype_setting(op, bindings, "wide_dtype", DType::bf16);
  return {variant.packs ? TensorPlan{"x", type, {rows, width}, {}, {}}
                        : TensorPlan{"packed", DType::u8, {rows, width + 4}, {}, {}}};
}

std::vector<TensorPlan> packed_rows_outputs(const PackedRowsVariant& variant, const Bindings& bindings) {
  const OpDefinition& op = OpRegistry::instance().require(variant.op);
  const TensorView& input = bindings.require_tensor(variant.op, variant.packs ? "x" : "packed");
  static_cast<void>(host::contiguous_rows(variant.op, variant.packs ? "x" : "packed", input));
  if (variant.packs) {
    return {plan("packed", DType::u8, input, input.dim(-1) + 4)};
  }
  require_width(variant, input.dim(-1) - 4);
  const DType type = host::dtype_setting(op, bindings, "wide_dtype", DType::bf16);
  return {plan("y", type, input, input.dim(-1) - 4)};
}

void complete_packed_rows(OpDefinition& op, const PackedRowsVariant& variant) {
  op.arguments_type = "kerncast::quant::PackedRowsKernelArgs";
  op.params = host::params(
      host::param<wide_dtype>(host::dtype_param({DType::bf16, DType::f16, DType::f32}, DType::bf16,
                                                fmt::format("element type of {}", variant.wide))),
      host::param<hidden>(host::integer_param(1, max_width, std::nullopt, "elements of a row: of a head")),
      host::param<alignment>(host::listed_param(
          {2, 4, 8, 16}, 16, fmt::format("bytes of {} per access; derived from the tensors", variant.wide))),
      host::param<packed_alignment>(
          host::listed_param({1, 2, 4, 8, 16}, 16, "bytes of packed per access; derived from the tensors")),
      host::param<contiguous>(
          host::flag_param(true, "the rows of packed are contiguous; derived from the tensors")));
  op.tunables = host::tunables(host::tunable_range<threads>("threads of a block", 32, 1024, 32));
  op.default_tunables = default_tunables;
  op.geometry = geometry;
  op.tunables_defect = tunables_defect;
  op.model_cases = model_cases;
}

Call packed_rows_call(const PackedRowsVariant& variant, const TensorView& wide, const TensorView& packed) {
  const host::TensorCheck wide_check(variant.op, variant.wide, wide);
  const host::TensorCheck packed_check(variant.op, "packed", packed);
  wide_check.is_float();
  packed_check.has_dtype(DType::u8);
  const host::Rows wide_rows = variant.packs ? wide_check.contiguous_rows() : wide_check.output_rows();
  const host::Rows packed_rows = variant.packs ? packed_check.output_rows() : packed_check.contiguous_rows();
  const std::int64_t width = wide.dim(-1);
  require_width(variant, width);
  packed_check.has_rows_like(variant.wide, wide, width + 4);
  wide_check.has_data(wide_rows.count).is_aligned(wide_rows);
  packed_check.has_data(wide_rows.count).is_on_device_of(variant.wide, wide);
  const host::Operand wide_operand{variant.wide, wide};
  const host::Operand packed_operand{"packed", packed};
  host::require_apart(variant.op, {variant.packs ? packed_operand : wide_operand},
                      {variant.packs ? wide_operand : packed_operand});
  const auto row_bytes = static_cast<std::uint64_t>(width * size_of(wide.dtype));
  // If the rows are contiguous, those of a block are one run of bytes. Their number is a multiple of 4.
  const bool dense = wide_rows.count <= 1 || packed_rows.stride == width + 4;
  const auto address = reinterpret_cast<std::uintptr_t>(packed.data);
  const std::uint64_t run = static_cast<std::uint64_t>(width + 4) * (dense ? 4 : 1);
  const std::uint64_t stride = dense ? 0U : static_cast<std::uint64_t>(packed_rows.stride);

  Call call;
  call.spec.values[wide_dtype] = host::to_param(wide.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[alignment] = host::alignment_of(host::misalignment(wide, wide_rows) | row_bytes);
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
