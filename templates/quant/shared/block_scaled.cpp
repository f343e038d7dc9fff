#include "templates/quant/shared/block_scaled.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "templates/host/group_grid.hpp"
#include "templates/host/launch_cost.hpp"
#include "templates/quant/shared/block_scaled_args.h"
#include "templates/quant/shared/block_scaled_spec_index.hpp"

namespace kerncast::quant {

using namespace block_scaled_params;

namespace {

constexpr std::int64_t max_hidden = 65536;
constexpr std::int64_t max_experts = 1024;
/// What the grid can hold, far past any device's memory.
constexpr std::int64_t max_elements = std::int64_t{1} << 44;

constexpr std::int64_t rounded_up(std::int64_t value, std::int64_t to) noexcept {
  return host::divide_up(value, to) * to;
}

bool swizzles(const Specialisation& spec) {
  return static_cast<SfLayout>(spec[sf_layout]) == SfLayout::swizzled;
}

/// Values of a block that a thread takes, as the kernel has it.
std::int32_t share_of(const BlockScaledVariant& variant, const Specialisation& spec) {
  const auto width = static_cast<std::int32_t>(spec[alignment] / size_of(host::dtype(spec[x_dtype])));
  return variant.fp4() ? std::max(width, 2) : width;
}

void require_width(const BlockScaledVariant& variant, std::int64_t width) {
  const std::int32_t block = variant.block();
  if (width < block || width > max_hidden || width % block != 0) [[unlikely]] {
    host::refuse(
        variant.op,
        fmt::format("the last dimension of x (hidden) is {}, but must be a multiple of {} up "
                    "to {}; nearest valid: {}",
                    width, block, max_hidden,
                    std::clamp<std::int64_t>((width + block / 2) / block * block, block, max_hidden)));
  }
}

/// Checks a contiguous vector of `type`.
void require_vector(const BlockScaledVariant& variant, std::string_view name, const TensorView& view,
                    DType type, std::int64_t elements, const TensorView& x, std::int64_t rows) {
  if (view.absent()) [[unlikely]] {
    host::refuse_rank(variant.op, name, view);
  }
  if (view.dtype != type) [[unlikely]] {
    host::refuse_dtype(variant.op, name, view.dtype, name_of(type));
  }
  if (view.rank != 1 || view.dim(0) != elements || (elements > 1 && view.stride(0) != 1)) [[unlikely]] {
    host::refuse_shape(variant.op, name, view, fmt::format("shape [{}], contiguous", elements));
  }
  host::require_data(variant.op, name, view, rows);
  host::require_device(variant.op, name, view, "x", x.device);
  if (reinterpret_cast<std::uintptr_t>(view.data) % 4 != 0) [[unlikely]] {
    host::refuse_misaligned(variant.op, name, view);
  }
}

/// Checks sf; sets what the kernel knows of it.
void bind_scales(const BlockScaledVariant& variant, const BlockScaled& arguments,
                 BlockScaledKernelArgs& kernel, std::int64_t width) {
  const TensorView& sf = arguments.sf;
  const std::int64_t blocks = width / variant.block();
  if (sf.dtype != variant.sf_dtype()) [[unlikely]] {
    host::refuse_dtype(variant.op, "sf", sf.dtype, name_of(variant.sf_dtype()));
  }
  const host::Rows rows = host::output_rows(variant.op, "sf", sf);
  if (arguments.layout == SfLayout::linear) {
    host::require_rows_like(variant.op, "sf", sf, "x", arguments.x, blocks);
    kernel.sf_stride = rows.stride;
  } else {
    const std::int64_t padded = rounded_up(blocks, 4);
    const bool experts_given = !arguments.expert_offsets.absent();
    const std::int64_t wanted = rounded_up(kernel.rows, 128);
    if (sf.dim(-1) != padded || (rows.count > 1 && rows.stride != padded) ||
        (experts_given ? rows.count % 128 != 0 || rows.count < kernel.rows : rows.count != wanted))
        [[unlikely]] {
      host::refuse_shape(
          variant.op, "sf", sf,
          experts_given
              ? fmt::format("a multiple of 128 rows, at least {}, of {}, contiguous", kernel.rows, padded)
              : fmt::format("shape [{}, {}], contiguous, for sf_layout = swizzled", wanted, padded));
    }
    kernel.sf_rows = rows.count;
  }
  host::require_data(variant.op, "sf", sf, kernel.rows);
  host::require_device(variant.op, "sf", sf, "x", arguments.x.device);
  kernel.sf = static_cast<unsigned char*>(sf.data);
}

}  // namespace

void block_scaled_validate(const BlockScaledVariant& variant, const Specialisation& spec) {
  require_width(variant, spec[hidden]);
  if (const std::int64_t bytes = size_of(host::dtype(spec[x_dtype])); spec[alignment] < bytes) {
    host::refuse(variant.op, fmt::format("alignment = {} must be at least an element of x ({} bytes)",
                                         spec[alignment], bytes));
  }
}

Tunables block_scaled_tunables(const BlockScaledVariant& variant, const Specialisation& spec,
                               const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t most = host::bucket_ceiling(rows);
  const std::int64_t elements = most * spec[hidden];
  constexpr Tunables least{{128, 1}};
  constexpr Tunables more{{256, 2}};
  // A few thousand elements per multiprocessor leave it idle unless every thread takes as little as it can.
  const bool few = elements <= std::int64_t{device.sm_count} * 16384;
  const host::LaunchWork work{.vectors = elements / share_of(variant, spec),
                              .bytes = elements * (1 + size_of(host::dtype(spec[x_dtype]))),
                              .once = 70,
                              .each = 25 * share_of(variant, spec)};
  return host::quicker_tiles(
      few ? least : more, few ? more : least,
      [&](const Tunables& tunables) { return block_scaled_geometry(variant, spec, tunables, most); }, work,
      device);
}

LaunchGeometry block_scaled_geometry(const BlockScaledVariant& variant, const Specialisation& spec,
                                     const Tunables& tunables, std::int64_t rows) noexcept {
  const std::int64_t blocks = spec[hidden] / variant.block();
  const std::int32_t lanes = variant.block() / share_of(variant, spec);
  return swizzles(spec) ? host::group_grid(host::divide_up(rows, 128) * 16, rounded_up(blocks, 4) * 8,
                                           tunables[threads], lanes, tunables[vectors])
                        : host::group_grid(rows, blocks, tunables[threads], lanes, tunables[vectors]);
}

Call block_scaled_bind(const BlockScaledVariant& variant, const Bindings& bindings) {
  const OpDefinition& op = OpRegistry::instance().require(variant.op);
  BlockScaled arguments;
  arguments.x = bindings.require_tensor(variant.op, "x");
  arguments.q = bindings.require_tensor(variant.op, "q");
  arguments.sf = bindings.require_tensor(variant.op, "sf");
  arguments.layout = static_cast<SfLayout>(host::setting(op, bindings, "sf_layout").value_or(0));
  if (variant.format == BlockFormat::nvfp4) {
    arguments.global_scale = bindings.require_tensor(variant.op, "global_scale");
    arguments.expert_offsets = bindings.tensor_or_absent("expert_offsets");
    arguments.sf_offsets = bindings.tensor_or_absent("sf_offsets");
  } else {
    arguments.ocp_floor = host::setting(op, bindings, "ocp_floor").value_or(0) != 0;
  }
  Call call = block_scaled_call(variant, arguments);
  // A kernel for narrower access serves better aligned tensors too.
  if (const auto wanted = host::setting(op, bindings, "alignment");
      wanted && *wanted < call.spec[alignment]) {
    call.spec.values[alignment] = *wanted;
    block_scaled_validate(variant, call.spec);
  }
  check_settings_agree(op, call.spec, bindings);
  return call;
}

std::vector<TensorPlan> block_scaled_inputs(const BlockScaledVariant& variant, const Bindings& bindings,
                                            std::int64_t rows) {
  const OpDefinition& op = OpRegistry::instance().require(variant.op);
  const std::optional<std::int32_t> width = host::setting(op, bindings, "hidden");
  if (!width) {
    host::refuse(variant.op, "parameter hidden is required to make inputs; give it as hidden=VALUE");
  }
  const DType type = host::dtype(host::setting(op, bindings, "x_dtype").value_or(host::number(DType::bf16)));
  std::vector<TensorPlan> plans{{"x", type, {rows, *width}, {}, {}}};
  if (variant.format == BlockFormat::nvfp4) {
    if (host::setting(op, bindings, "experts").value_or(0) > 0) {
      host::refuse(variant.op, "offsets of experts cannot be made up; give expert_offsets and sf_offsets");
    }
    plans.push_back({"global_scale", DType::f32, {1}, {}, {}});
  }
  return plans;
}

std::vector<TensorPlan> block_scaled_outputs(const BlockScaledVariant& variant, const Bindings& bindings) {
  const OpDefinition& op = OpRegistry::instance().require(variant.op);
  const TensorView& x = bindings.require_tensor(variant.op, "x");
  const host::Rows rows = host::contiguous_rows(variant.op, "x", x);
  require_width(variant, x.dim(-1));
  const std::vector<std::int64_t> shape{x.shape.begin(), x.shape.begin() + x.rank};
  const std::int64_t blocks = x.dim(-1) / variant.block();
  const DType type =
      variant.fp4()
          ? DType::u8
          : host::dtype(host::setting(op, bindings, "q_dtype").value_or(host::number(DType::fp8_e4m3)));
  TensorPlan q{"q", type, shape, {}, {}};
  q.shape.back() /= variant.fp4() ? 2 : 1;
  TensorPlan sf{"sf", variant.sf_dtype(), shape, {}, {}};
  sf.shape.back() = blocks;
  if (static_cast<SfLayout>(host::setting(op, bindings, "sf_layout").value_or(0)) == SfLayout::swizzled) {
    std::int64_t tall = rounded_up(rows.count, 128);
    if (const TensorView offsets = bindings.tensor_or_absent("expert_offsets"); !offsets.absent()) {
      // Every expert's rows may need padding.
      tall = rounded_up(rows.count + (offsets.dim(0) - 1) * 127, 128);
    }
    sf.shape = {tall, rounded_up(blocks, 4)};
  }
  return {std::move(q), std::move(sf)};
}

std::vector<ModelCase> block_scaled_cases(const BlockScaledVariant& variant, const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (!host::is_float(model.dtype)) {
    return cases;
  }
  const auto add = [&](const char* label, std::int64_t width, const char* layout) {
    if (width < 1 || width > max_hidden || width % variant.block() != 0) {
      return;
    }
    ModelCase made;
    made.label = label;
    made.params = {{"x_dtype", std::string(name_of(model.dtype))},
                   {"hidden", std::to_string(width)},
                   {"sf_layout", layout}};
    cases.push_back(std::move(made));
  };
  add("attention and MLP input", model.hidden, "swizzled");
  add("o_proj input", model.heads * model.head_dim, "swizzled");
  add("experts' down_proj input", model.moe_intermediate, "swizzled");
  add("dense down_proj input", model.intermediate, "swizzled");
  // Kernels that read scales by rows want whole sectors of them.
  if (model.hidden / variant.block() % 32 == 0) {
    add("attention and MLP input, scales by rows", model.hidden, "linear");
  }
  return cases;
}

OpDefinition block_scaled_definition_base(const BlockScaledVariant& variant) {
  OpDefinition op;
  op.name = variant.op;
  op.summary = variant.summary;
  op.formula = variant.formula;
  op.include = fmt::format("quant/{}/kernel.cuh", variant.name);
  op.kernel = fmt::format("kerncast::quant::{}_kernel", variant.name);
  op.arguments_type = "kerncast::quant::BlockScaledKernelArgs";
  op.params = {
      host::dtype_param("x_dtype", {DType::bf16, DType::f16, DType::f32}, DType::bf16, "element type of x"),
      host::integer_param("hidden", variant.block(), max_hidden, std::nullopt,
                          fmt::format("elements of a row; a multiple of {}", variant.block())),
      host::choice_param("sf_layout", sf_layout_names,
                         "where scales lie; swizzled: tiles of 128 rows and 4 blocks for block-scaled MMA"),
      host::listed_param("alignment", {2, 4, 8, 16}, 16,
                         "bytes of x per access; derived from the tensors' pointers and strides"),
  };
  op.params[hidden].multiple_of = variant.block();
  op.tunables = {
      {"threads", "threads of a block", {128, 256, 512}},
      {"vectors", "blocks whose vectors a thread has in flight", {1, 2, 4}},
  };
  op.tensors = {{"x", Direction::in, false, "[..., hidden], x_dtype; rows may be strided"}};
  if (variant.format == BlockFormat::nvfp4) {
    op.params.push_back(host::integer_param("experts", 0, max_experts, 0,
                                            "experts that expert_offsets splits the rows among; 0: none"));
    op.tensors.push_back({"global_scale", Direction::in, false, "[1], under expert_offsets [experts]; f32"});
    op.tensors.push_back(
        {"expert_offsets", Direction::in, true,
         "[experts + 1], i32: expert e has rows expert_offsets[e] to expert_offsets[e + 1]"});
    op.tensors.push_back(
        {"sf_offsets", Direction::in, true,
         "[experts + 1], i32, multiples of 128: where the experts' rows start in a swizzled sf"});
  } else {
    op.params.push_back(
        host::flag_param("ocp_floor", false, "exponent floor(log2(amax)) - emax, as OCP MX 1.0 has it"));
  }
  if (!variant.fp4()) {
    op.params.push_back(host::dtype_param("q_dtype", {DType::fp8_e4m3, DType::fp8_e5m2}, DType::fp8_e4m3,
                                          "element type of q"));
  }
  op.tensors.push_back({"q", Direction::out, false,
                        variant.fp4()
                            ? "[..., hidden / 2], u8, two e2m1 each, the first in the low nibble; rows "
                              "may be strided"
                            : "shape of x, q_dtype; rows may be strided"});
  op.tensors.push_back(
      {"sf", Direction::out, false,
       fmt::format("{}; linear: [..., hidden / {}], rows may be strided; swizzled: [T rounded up to 128, "
                   "hidden / {} rounded up to 4], contiguous",
                   name_of(variant.sf_dtype()), variant.block(), variant.block())});
  return op;
}

Call block_scaled_call(const BlockScaledVariant& variant, const BlockScaled& arguments) {
  const TensorView& x = arguments.x;
  const TensorView& q = arguments.q;
  host::require_float(variant.op, "x", x);
  if (variant.fp4() ? q.dtype != DType::u8 : q.dtype != DType::fp8_e4m3 && q.dtype != DType::fp8_e5m2)
      [[unlikely]] {
    host::refuse_dtype(variant.op, "q", q.dtype,
                       variant.fp4() ? "u8 (two e2m1 each)" : "fp8_e4m3 or fp8_e5m2");
  }
  const host::Rows x_rows = host::contiguous_rows(variant.op, "x", x);
  const host::Rows q_rows = host::output_rows(variant.op, "q", q);
  const std::int64_t width = x.dim(-1);
  require_width(variant, width);
  host::require_rows_like(variant.op, "q", q, "x", x, variant.fp4() ? width / 2 : width);
  if (x_rows.count > max_elements / width) [[unlikely]] {
    host::refuse_range(variant.op, "the row count of x", x_rows.count, 0, max_elements / width);
  }
  host::require_data(variant.op, "x", x, x_rows.count);
  host::require_data(variant.op, "q", q, x_rows.count);
  host::require_device(variant.op, "q", q, "x", x.device);

  BlockScaledKernelArgs kernel{};
  kernel.x = x.data;
  kernel.q = q.data;
  kernel.rows = x_rows.count;
  kernel.x_stride = x_rows.stride;
  kernel.q_stride = q_rows.stride;
  bind_scales(variant, arguments, kernel, width);
  std::int64_t split = 0;
  if (variant.format == BlockFormat::nvfp4) {
    const TensorView& offsets = arguments.expert_offsets;
    if (!offsets.absent()) {
      split = offsets.dim(0) - 1;
      if (split < 1 || split > max_experts) [[unlikely]] {
        host::refuse_range(variant.op, "the number of elements of expert_offsets", split + 1, 2,
                           max_experts + 1);
      }
      require_vector(variant, "expert_offsets", offsets, DType::i32, split + 1, x, x_rows.count);
      if (arguments.layout == SfLayout::swizzled) {
        require_vector(variant, "sf_offsets", arguments.sf_offsets, DType::i32, split + 1, x, x_rows.count);
      }
    }
    require_vector(variant, "global_scale", arguments.global_scale, DType::f32,
                   std::max<std::int64_t>(split, 1), x, x_rows.count);
    kernel.global_scale = static_cast<const float*>(arguments.global_scale.data);
    kernel.expert_offsets = static_cast<const int*>(offsets.data);
    kernel.sf_offsets = static_cast<const int*>(arguments.sf_offsets.data);
  }

  const auto bytes = static_cast<std::int32_t>(size_of(x.dtype));
  const std::int32_t aligned = host::alignment_of(host::misalignment(x, x_rows));
  if (aligned < bytes) [[unlikely]] {
    host::refuse_misaligned(variant.op, "x", x);
  }
  Call call;
  call.spec.values[x_dtype] = host::number(x.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[sf_layout] = static_cast<std::int32_t>(arguments.layout);
  call.spec.values[alignment] =
      std::min(aligned, host::alignment_of(host::misalignment(q, q_rows)) * bytes * (variant.fp4() ? 2 : 1));
  if (variant.format == BlockFormat::nvfp4) {
    call.spec.values[experts] = static_cast<std::int32_t>(split);
  } else {
    call.spec.values[ocp_floor] = arguments.ocp_floor ? 1 : 0;
  }
  if (!variant.fp4()) {
    call.spec.values[q_dtype] = host::number(q.dtype);
  }
  // The grid covers the rows of a swizzled sf where experts pad it.
  call.rows =
      x_rows.count > 0 && split > 0 && arguments.layout == SfLayout::swizzled ? kernel.sf_rows : x_rows.count;
  call.device = x.device;
  call.set_arguments(kernel);
  return call;
}

}  // namespace kerncast::quant
