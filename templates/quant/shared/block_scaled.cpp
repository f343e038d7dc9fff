#include "templates/quant/shared/block_scaled.hpp"
#include "templates/host/overlap.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "templates/host/group_grid.hpp"
#include "templates/host/launch_cost.hpp"
#include "templates/host/params.hpp"
#include "templates/host/tensor_check.hpp"
#include "templates/quant/shared/block_scaled_args.h"
#include "templates/quant/shared/block_scaled_spec_index.hpp"
#include "templates/quant/shared/operand_checks.hpp"

namespace kerncast::quant {

using namespace block_scaled_params;

namespace {

constexpr std::int64_t max_experts = 1024;

bool swizzles(const Specialisation& spec) {
  return static_cast<SfLayout>(spec[sf_layout]) == SfLayout::swizzled;
}

/// Number of values of a block that a thread takes; block_scaled.cuh computes the same.
std::int32_t share_of(const BlockScaledVariant& variant, const Specialisation& spec) {
  const auto width =
      static_cast<std::int32_t>(spec[alignment] / size_of(host::dtype_from_param(spec[x_dtype])));
  return variant.fp4() ? std::max(width, 2) : width;
}

/// Places of a row of blocks of scales, as block_scaled.cuh counts them.
std::int64_t places_of(const BlockScaledVariant& variant, const Specialisation& spec) {
  const std::int64_t blocks = spec[hidden] / variant.block();
  return swizzles(spec) ? host::round_up(blocks, 4) * 8 : blocks;
}

/// Tunables under which a thread has `taken` blocks, and a row is a whole number of thread blocks if a number
/// of threads allows that: the index arithmetic is then shorter.
Tunables tiles(const BlockScaledVariant& variant, const Specialisation& spec, std::int32_t taken) {
  const std::int32_t lanes = variant.block() / share_of(variant, spec);
  Tunables made{{128, taken}};
  for (const std::int32_t count : {128, 160, 192, 224, 256}) {
    const std::int32_t places = count / lanes * taken;
    // Scales that go through shared memory fill whole sectors by 32.
    if (places_of(variant, spec) % places == 0 && (taken >= lanes || places % 32 == 0)) {
      made.values[threads] = count;
      break;
    }
  }
  return made;
}

/// Checks the shape and the strides of sf, and returns its rows.
host::Rows scale_rows(const BlockScaledVariant& variant, const BlockScaled& arguments,
                      const host::TensorCheck& check, std::int64_t count, std::int64_t width) {
  const TensorView& sf = arguments.sf;
  const std::int64_t blocks = width / variant.block();
  const host::Rows rows = check.has_dtype(variant.sf_dtype()).output_rows();
  if (arguments.sf_layout == SfLayout::linear) {
    check.has_rows_like("x", arguments.x, blocks);
    return rows;
  }
  const std::int64_t padded = host::round_up(blocks, 4);
  const bool experts_given = !arguments.expert_offsets.absent();
  const std::int64_t wanted = host::round_up(count, 128);
  if (sf.dim(-1) != padded || (rows.count > 1 && rows.stride != padded) ||
      (experts_given ? rows.count % 128 != 0 || rows.count < count : rows.count != wanted)) [[unlikely]] {
    host::refuse_shape(
        variant.op, "sf", sf,
        experts_given ? fmt::format("a multiple of 128 rows, at least {}, of {}, contiguous", count, padded)
                      : fmt::format("shape [{}, {}], contiguous, for sf_layout = swizzled", wanted, padded));
  }
  return rows;
}

}  // namespace

void block_scaled_validate(const BlockScaledVariant& variant, const Specialisation& spec) {
  require_block_width(variant.op, "x", spec[hidden], variant.block());
  host::validate_alignment(variant.op, spec[alignment], spec[hidden], host::dtype_from_param(spec[x_dtype]));
}

Tunables block_scaled_tunables(const BlockScaledVariant& variant, const Specialisation& spec,
                               const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t most = host::bucket_ceiling(rows);
  const std::int64_t elements = most * spec[hidden];
  // A thread that has as many blocks as lanes share one stores scales without shared memory.
  const std::int32_t lanes = variant.block() / share_of(variant, spec);
  const std::int64_t covered = swizzles(spec) ? host::round_up(most, 128) : most;
  const bool filled = covered * spec[hidden] > std::int64_t{device.sm_count} * 4096;
  const Tunables least = tiles(variant, spec, filled && lanes <= 2 ? 2 : 1);
  const Tunables more = tiles(variant, spec, 2);
  // A few thousand elements do not fill a multiprocessor unless every thread takes as little as possible.
  const bool few = elements <= std::int64_t{device.sm_count} * 16384;
  const host::LaunchWork work{.vectors = elements / share_of(variant, spec),
                              .bytes = elements * (1 + size_of(host::dtype_from_param(spec[x_dtype]))),
                              .once = 60,
                              .each = 8 * share_of(variant, spec)};
  return host::quicker_tiles(
      few ? least : more, few ? more : least,
      [&](const Tunables& tunables) { return block_scaled_geometry(variant, spec, tunables, most); }, work,
      device);
}

LaunchGeometry block_scaled_geometry(const BlockScaledVariant& variant, const Specialisation& spec,
                                     const Tunables& tunables, std::int64_t rows) noexcept {
  const std::int32_t lanes = variant.block() / share_of(variant, spec);
  return host::group_grid(swizzles(spec) ? host::divide_up(rows, 128) * 16 : rows, places_of(variant, spec),
                          tunables[threads], lanes, tunables[vectors]);
}

std::vector<TensorPlan> block_scaled_inputs(const BlockScaledVariant& variant, const Bindings& bindings,
                                            std::int64_t rows) {
  const OpDefinition& op = OpRegistry::instance().require(variant.op);
  const std::int64_t width = host::required_param(op, bindings, "hidden");
  std::vector<TensorPlan> plans{
      {"x", host::dtype_setting(op, bindings, "x_dtype", DType::bf16), {rows, width}, {}, {}}};
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
  require_block_width(variant.op, "x", x.dim(-1), variant.block());
  const std::vector<std::int64_t> shape{x.shape.begin(), x.shape.begin() + x.rank};
  const std::int64_t blocks = x.dim(-1) / variant.block();
  const DType type =
      variant.fp4() ? DType::u8 : host::dtype_setting(op, bindings, "q_dtype", DType::fp8_e4m3);
  TensorPlan q{"q", type, shape, {}, {}};
  q.shape.back() /= variant.fp4() ? 2 : 1;
  TensorPlan sf{"sf", variant.sf_dtype(), shape, {}, {}};
  sf.shape.back() = blocks;
  if (static_cast<SfLayout>(host::setting(op, bindings, "sf_layout").value_or(0)) == SfLayout::swizzled) {
    std::int64_t tall = host::round_up(rows.count, 128);
    if (const TensorView offsets = bindings.tensor_or_absent("expert_offsets"); !offsets.absent()) {
      // The rows of every expert may need padding.
      tall = host::round_up(rows.count + (offsets.dim(0) - 1) * 127, 128);
    }
    sf.shape = {tall, host::round_up(blocks, 4)};
  }
  return {std::move(q), std::move(sf)};
}

std::vector<ModelCase> block_scaled_cases(const BlockScaledVariant& variant, const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (!host::is_float(model.dtype)) {
    return cases;
  }
  const auto add = [&](const std::string& label, std::int64_t width, const char* layout) {
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
  for (const ModelLinear& linear : model.linears) {
    add(linear.place, linear.width, "swizzled");
  }
  // Kernels that read scales by rows need rows of whole sectors.
  if (model.hidden / variant.block() % 32 == 0) {
    add("attention and MLP input, scales by rows", model.hidden, "linear");
  }
  return cases;
}

std::string_view block_scaled_q_doc(const BlockScaledVariant& variant) {
  return variant.fp4()
             ? "[..., hidden / 2], u8, two e2m1 each, the first in the low nibble; rows may be strided"
             : "shape of x, q_dtype; rows may be strided";
}

std::string block_scaled_sf_doc(const BlockScaledVariant& variant) {
  return fmt::format(
      "{}; linear: [..., hidden / {}], rows may be strided; swizzled: [T rounded up to 128, hidden / {} "
      "rounded "
      "up to 4], contiguous",
      name_of(variant.sf_dtype()), variant.block(), variant.block());
}

void complete_block_scaled(OpDefinition& op, const BlockScaledVariant& variant) {
  op.arguments_type = "kerncast::quant::BlockScaledKernelArgs";
  op.params = host::params(
      host::param<x_dtype>(
          host::dtype_param({DType::bf16, DType::f16, DType::f32}, DType::bf16, "element type of x")),
      host::param<hidden>(
          host::integer_param(variant.block(), max_hidden, std::nullopt,
                              fmt::format("elements of a row; a multiple of {}", variant.block()))),
      host::param<sf_layout>(host::choice_param(
          sf_layout_names,
          "layout of the scales; swizzled: tiles of 128 rows and 4 blocks for block-scaled MMA")),
      host::param<alignment>(host::listed_param(
          {2, 4, 8, 16}, 16, "bytes of x per access; derived from the tensors' pointers and strides")));
  op.params[hidden].multiple_of = variant.block();
  if (variant.format == BlockFormat::nvfp4) {
    host::append(op.params,
                 host::param<experts>(host::integer_param(
                     0, max_experts, 0, "experts that expert_offsets splits the rows among; 0: none")));
  } else {
    host::append(op.params, host::param<ocp_floor>(host::flag_param(
                                false, "exponent floor(log2(amax)) - emax, as in OCP MX 1.0")));
  }
  if (!variant.fp4()) {
    host::append(op.params, host::param<q_dtype>(host::dtype_param({DType::fp8_e4m3, DType::fp8_e5m2},
                                                                   DType::fp8_e4m3, "element type of q")));
  }
  op.tunables =
      host::tunables(host::tunable_range<threads>("threads of a block", 32, 1024, 32),
                     host::tunable<vectors>("blocks whose vectors a thread has in flight", {1, 2, 4}));
}

Call block_scaled_call(const BlockScaledVariant& variant, const BlockScaled& arguments) {
  const TensorView& x = arguments.x;
  const TensorView& q = arguments.q;
  const host::TensorCheck x_check(variant.op, "x", x);
  const host::TensorCheck q_check(variant.op, "q", q);
  x_check.is_float();
  if (variant.fp4() ? q.dtype != DType::u8 : q.dtype != DType::fp8_e4m3 && q.dtype != DType::fp8_e5m2)
      [[unlikely]] {
    host::refuse_dtype(variant.op, "q", q.dtype,
                       variant.fp4() ? "u8 (two e2m1 each)" : "fp8_e4m3 or fp8_e5m2");
  }
  const host::Rows x_rows = x_check.contiguous_rows();
  const host::Rows q_rows = q_check.output_rows();
  const std::int64_t width = x.dim(-1);
  require_block_width(variant.op, "x", width, variant.block());
  q_check.has_rows_like("x", x, variant.fp4() ? width / 2 : width);
  require_row_count(variant.op, "x", x_rows.count, width);
  x_check.has_data(x_rows.count);
  q_check.has_data(x_rows.count).is_on_device_of("x", x);

  const host::TensorCheck sf_check(variant.op, "sf", arguments.sf);
  const host::Rows sf_rows = scale_rows(variant, arguments, sf_check, x_rows.count, width);
  // Experts pad a swizzled sf, so the grid covers the rows of sf, even if x has none.
  const bool pads = !arguments.expert_offsets.absent() && arguments.sf_layout == SfLayout::swizzled;
  const std::int64_t rows = pads ? sf_rows.count : x_rows.count;
  sf_check.has_data(rows).is_on_device_of("x", x);
  std::int64_t split = 0;
  const bool is_nvfp4 = variant.format == BlockFormat::nvfp4;
  if (is_nvfp4) {
    const TensorView& offsets = arguments.expert_offsets;
    if (!arguments.sf_offsets.absent() && !pads) [[unlikely]] {
      host::refuse(variant.op,
                   "tensor 'sf_offsets' places the rows of experts in a swizzled sf; leave it out, or give "
                   "expert_offsets and sf_layout = swizzled with it");
    }
    if (!offsets.absent()) {
      split = offsets.dim(0) - 1;
      if (split < 1 || split > max_experts) [[unlikely]] {
        host::refuse_range(variant.op, "the number of elements of expert_offsets", split + 1, 2,
                           max_experts + 1);
      }
      require_vector(variant.op, "expert_offsets", offsets, DType::i32, split + 1, "x", x, rows);
      if (arguments.sf_layout == SfLayout::swizzled) {
        require_vector(variant.op, "sf_offsets", arguments.sf_offsets, DType::i32, split + 1, "x", x, rows);
      }
    }
    require_vector(variant.op, "global_scale", arguments.global_scale, DType::f32,
                   std::max<std::int64_t>(split, 1), "x", x, rows,
                   split > 0 ? "one for each expert, of which expert_offsets has an element more" : "");
  }
  host::require_apart(variant.op, {{"q", q}, {"sf", arguments.sf}},
                      {{"x", x},
                       {"global_scale", arguments.global_scale},
                       {"expert_offsets", arguments.expert_offsets},
                       {"sf_offsets", arguments.sf_offsets}});

  const auto bytes = static_cast<std::int32_t>(size_of(x.dtype));
  x_check.is_aligned(x_rows);
  Call call;
  call.spec.values[x_dtype] = host::to_param(x.dtype);
  call.spec.values[hidden] = static_cast<std::int32_t>(width);
  call.spec.values[sf_layout] = static_cast<std::int32_t>(arguments.sf_layout);
  call.spec.values[alignment] =
      std::min(host::alignment_of(host::misalignment(x, x_rows)),
               host::alignment_of(host::misalignment(q, q_rows)) * bytes * (variant.fp4() ? 2 : 1));
  if (is_nvfp4) {
    call.spec.values[experts] = static_cast<std::int32_t>(split);
  } else {
    call.spec.values[ocp_floor] = arguments.ocp_floor ? 1 : 0;
  }
  if (!variant.fp4()) {
    call.spec.values[q_dtype] = host::to_param(q.dtype);
  }
  call.rows = rows;
  call.device = x.device;
  const bool is_linear = arguments.sf_layout == SfLayout::linear;
  call.set_arguments(BlockScaledKernelArgs{
      .x = x.data,
      .q = q.data,
      .sf = static_cast<unsigned char*>(arguments.sf.data),
      .global_scale = is_nvfp4 ? static_cast<const float*>(arguments.global_scale.data) : nullptr,
      .expert_offsets = is_nvfp4 ? static_cast<const int*>(arguments.expert_offsets.data) : nullptr,
      .sf_offsets = is_nvfp4 ? static_cast<const int*>(arguments.sf_offsets.data) : nullptr,
      .rows = x_rows.count,
      .sf_rows = is_linear ? 0 : sf_rows.count,
      .x_stride = x_rows.stride,
      .q_stride = q_rows.stride,
      .sf_stride = is_linear ? sf_rows.stride : 0});
  return call;
}

}  // namespace kerncast::quant
