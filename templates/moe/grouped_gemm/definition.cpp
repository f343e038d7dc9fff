#include <kerncast/ops/moe/grouped_gemm.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <kerncast/ops/moe/align_block_size.hpp>
#include "templates/host/checks.hpp"
#include "templates/host/define_op.hpp"
#include "templates/host/overlap.hpp"
#include "templates/host/params.hpp"
#include "templates/host/tensor_check.hpp"
#include "templates/host/typed_op.hpp"
#include "templates/moe/grouped_gemm/bias.h"
#include "templates/moe/grouped_gemm/kernel_args.h"
#include "templates/moe/grouped_gemm/scale_checks.hpp"
#include "templates/moe/grouped_gemm/spec_index.hpp"
#include "templates/moe/grouped_gemm/tile.h"
#include "templates/moe/shared/expert_products.hpp"
#include "templates/moe/shared/grouping.hpp"

namespace kerncast::moe {
namespace {

using namespace grouped_gemm_params;

constexpr std::string_view op_name = GroupedGemm::op_name;
constexpr std::int64_t most_columns = 65536;
constexpr std::int64_t most_block = 1024;
constexpr float gpt_oss_limit = 7.0F;

std::int64_t element_bytes(const Specialisation& spec) {
  return size_of(host::dtype_from_param(spec[a_dtype]));
}

bool is_gated(const Specialisation& spec) {
  return static_cast<GemmActivation>(spec[activation]) != GemmActivation::none;
}

constexpr bool takes_limit(GemmActivation kind) {
  return kind == GemmActivation::silu_and_mul || kind == GemmActivation::swiglu_oai;
}

/// Columns of c for `rows` rows of an expert's matrix.
std::int64_t columns_of(std::int64_t rows, bool gated) {
  return gated ? rows / 2 : rows;
}

ScaleForm form_of(const Specialisation& spec) {
  return static_cast<ScaleForm>(spec[scale_form]);
}

GemmTile tile_of(const Specialisation& spec, const Tunables& tunables) {
  const int row_bytes = tunables[tile_k] * static_cast<int>(element_bytes(spec));
  const int b_row_bytes = is_packed(form_of(spec)) ? tunables[tile_k] / 2 : row_bytes;
  return {tunables[tile_m], tunables[tile_n], row_bytes,    b_row_bytes,
          tunables[stages], tunables[warps],  form_of(spec)};
}

/// Checks types of packed b, whose scales have the form that the caller tells of.
void require_packed_types(DType of_a, DType of_b, std::int64_t depth) {
  if (of_a != DType::bf16 && of_a != DType::f16) [[unlikely]] {
    host::refuse_dtype(op_name, "a", of_a, "bf16 or f16 if b is u8, two values of 4 bits");
  }
  if (of_b != DType::u8) [[unlikely]] {
    host::refuse_dtype(op_name, "b", of_b, "u8, two values of 4 bits");
  }
  if (depth % 32 != 0) [[unlikely]] {
    host::refuse(op_name, fmt::format("k is {}, but b of 4 bits needs a multiple of 32, which share a scale; "
                                      "nearest valid: {}",
                                      depth, std::max<std::int64_t>(depth / 32, 1) * 32));
  }
}

void validate(const Specialisation& spec) {
  const DType of_a = host::dtype_from_param(spec[a_dtype]);
  const DType of_b = host::dtype_from_param(spec[b_dtype]);
  if (is_packed(form_of(spec))) {
    require_packed_types(of_a, of_b, spec[k]);
    if (spec[has_scales] == 0) {
      host::refuse(op_name, "b has 4 bits, but has_scales is false");
    }
  } else if (of_a != of_b) {
    host::refuse(op_name, fmt::format("a is {} and b {}, but b must have the type of a, or be u8 with "
                                      "scale_form mxfp4 or int4",
                                      name_of(of_a), name_of(of_b)));
  }
  host::validate_alignment(op_name, spec[alignment], spec[k], host::dtype_from_param(spec[a_dtype]));
  if (spec[has_scales] != 0 && element_bytes(spec) != 1 && !is_packed(form_of(spec))) {
    host::refuse(op_name, fmt::format("a is {}, but only fp8 and i8 have scales",
                                      name_of(host::dtype_from_param(spec[a_dtype]))));
  }
  if (form_of(spec) == ScaleForm::blocks && (spec[has_scales] == 0 || of_a != DType::fp8_e4m3)) {
    host::refuse(op_name, fmt::format("scale_form is blocks, but a is {}{}, and fp8 with scales alone has it",
                                      name_of(host::dtype_from_param(spec[a_dtype])),
                                      spec[has_scales] == 0 ? " without scales" : ""));
  }
  if (spec[limit] != 0 && static_cast<GemmActivation>(spec[activation]) != GemmActivation::silu_and_mul) {
    host::refuse(op_name, "limit is true, but only silu_and_mul differs with one; swiglu_oai always has one");
  }
  if (is_gated(spec) && spec[n] % 2 != 0) {
    host::refuse(op_name, fmt::format("n is {}, but an activation needs as many gates as ups, an even number",
                                      spec[n]));
  }
  host::validate_alignment(op_name, spec[alignment], columns_of(spec[n], is_gated(spec)),
                           host::dtype_from_param(spec[a_dtype]));
}

Tunables default_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows) {
  const std::int64_t most = host::bucket_ceiling(rows);
  // With few tokens a tile holds all slots that an expert can have, so that its matrix is read once.
  constexpr std::int64_t few = 64;
  const std::int64_t of_expert =
      most <= few ? most : std::max<std::int64_t>(few, 2 * most * spec[top_k] / spec[experts]);
  Tunables made;
  made.values[tile_m] =
      std::clamp(host::power_of_two_above(std::min<std::int64_t>(of_expert, spec[block])), 8, 128);
  // Rows of a are read once for each tile of columns, which is little beside the matrices if tiles are wide.
  made.values[tile_n] = 128;
  // Rows of packed b have few bytes, so more of k fills as much of the memory's bus.
  made.values[tile_k] = is_packed(form_of(spec)) ? 128 : static_cast<std::int32_t>(128 / element_bytes(spec));
  // With 8 rows, four warps hold more addresses of columns than sums, and spill on sm_86 to sm_89.
  made.values[warps] = made[tile_m] == 128 || made[tile_m] == 8 ? 8 : 4;
  // Sums that are promoted take twice the registers, and packed factors many.
  if (form_of(spec) != ScaleForm::rows && made[tile_m] == 64) {
    made.values[warps] = 8;
  }
  made.values[tiles_together] = most <= few ? 1 : 4;
  made.values[stages] = 4;
  while (made[stages] > 2 && tile_of(spec, made).shared_bytes() > device.max_shared_per_block) {
    --made.values[stages];
  }
  while (made[tile_m] > 8 && tile_of(spec, made).shared_bytes() > device.max_shared_per_block) {
    made.values[tile_m] /= 2;
    made.values[warps] = 4;
  }
  return made;
}

std::string tunables_defect(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&) {
  const GemmTile tile = tile_of(spec, tunables);
  if (!tile.is_whole()) {
    return fmt::format("{} warps cannot share a tile of {} rows and {} columns in parts of 8 and 16",
                       tile.warps, tile.rows, tile.columns);
  }
  constexpr int most_sums = 64;
  if (const int sums = tile.rows * tile.columns / (32 * tile.warps); sums > most_sums) {
    return fmt::format("a thread would hold {} sums, but has registers for {}", sums, most_sums);
  }
  constexpr int most_copies = 16;
  if (const int copies = tile.stage_bytes() / (16 * 32 * tile.warps); copies > most_copies) {
    return fmt::format("a thread would make {} copies for a stage, but has registers for the addresses of {}",
                       copies, most_copies);
  }
  if (tile.rows > 32 * tile.warps) {
    return fmt::format("a tile of {} rows needs as many threads, {} warps have {}", tile.rows, tile.warps,
                       32 * tile.warps);
  }
  return {};
}

LaunchGeometry geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                        std::int64_t rows) noexcept {
  const std::int64_t places = align_block_size_places(rows * spec[top_k], spec[experts], spec[block]);
  const std::int64_t tiles =
      places / spec[block] * host::divide_up(spec[block], tunables[tile_m]) *
      host::divide_up(columns_of(spec[n], is_gated(spec)), columns_of(tunables[tile_n], is_gated(spec)));
  LaunchGeometry made = host::linear_grid(tiles);
  made.block[0] = static_cast<std::uint32_t>(32 * tunables[warps]);
  made.dynamic_shared = static_cast<std::uint32_t>(tile_of(spec, tunables).shared_bytes());
  return made;
}

void describe(host::NamedArguments& named, GroupedGemm& call) {
  named.input("a", call.a, "[T, k], a_dtype; rows may be strided");
  named.input("b", call.b,
              "[experts, n, k], b_dtype, contiguous along k; of 4 bits: [experts, n, k / 2], u8");
  named.input("sorted", call.sorted, "[P], i32, of moe.align_block_size");
  named.input("expert", call.expert, "[P / block], i32, of moe.align_block_size");
  named.input("total", call.total, "[1], i32, of moe.align_block_size");
  named.optional_input("weights", call.weights, "[T * top_k], f32, contiguous");
  named.optional_input("a_scales", call.a_scales,
                       "[T], [1] or [T, ceil(k / 128)], f32, any strides; with fp8 and i8");
  named.optional_input("b_scales", call.b_scales,
                       "[experts, n], [experts] or [experts, ceil(n / 128), ceil(k / 128)], f32, any "
                       "strides; with fp8 and i8; of 4 "
                       "bits: [experts, n, k / 32], ue8m0 or bf16, contiguous along k");
  named.optional_input("bias", call.bias, "[experts, n], bf16, f16 or f32, contiguous along n");
  named.output("c", call.c, "[T * top_k, n, or n / 2 with an activation], c_dtype; rows may be strided");
  named.setting("top_k", call.top_k);
  named.setting("block", call.block);
  named.setting("activation", call.activation);
  named.scalar("limit", call.limit, "of gates and ups; 0: none with silu_and_mul, 7 with swiglu_oai");
  named.scalar("alpha", call.alpha, "factor within the sigmoid of swiglu_oai; finite");
}

/// Checks a contiguous i32 tensor of at least `elements` elements.
void check_grouping_tensor(std::string_view name, const TensorView& view, std::int64_t elements,
                           const TensorView& a) {
  const host::TensorCheck check(op_name, name, view);
  check.has_dtype(DType::i32);
  const host::Rows rows = check.contiguous_rows();
  check.has_data(elements).is_on_device_of("a", a).is_aligned(rows);
  if (view.rank != 1 || view.dim(0) < elements) [[unlikely]] {
    host::refuse_shape(op_name, name, view, fmt::format("shape [{}] or larger", elements));
  }
}

/// Checks sorted, expert and total for `slots` slots.
void check_grouping(const GroupedGemm& arguments, std::int64_t slots, std::int64_t count) {
  if (arguments.block < 1 || arguments.block > most_block) [[unlikely]] {
    host::refuse_range(op_name, "block", arguments.block, 1, most_block);
  }
  const TensorView& sorted = arguments.sorted;
  const std::int64_t needed = align_block_size_places(slots, static_cast<int>(count), arguments.block);
  check_grouping_tensor("sorted", sorted, 0, arguments.a);
  const std::int64_t places = sorted.dim(0);
  if (places < needed || places % arguments.block != 0 || places > std::numeric_limits<std::int32_t>::max())
      [[unlikely]] {
    host::refuse_shape(op_name, "sorted", sorted,
                       fmt::format("[{}] or larger for {} slots of {} experts, a multiple of block = {}",
                                   needed, slots, count, arguments.block));
  }
  host::require_data(op_name, "sorted", sorted, places);
  check_grouping_tensor("expert", arguments.expert, places / arguments.block, arguments.a);
  check_grouping_tensor("total", arguments.total, 1, arguments.a);
}

void check_weights(const GroupedGemm& arguments, std::int64_t slots) {
  const host::TensorCheck check(op_name, "weights", arguments.weights);
  const host::Rows rows = check.has_dtype(DType::f32).contiguous_rows();
  const std::int64_t width = arguments.weights.dim(-1);
  if (rows.count * width != slots || (rows.count > 1 && rows.stride != width)) [[unlikely]] {
    host::refuse_shape(op_name, "weights", arguments.weights,
                       fmt::format("{} contiguous elements, one for each row of c", slots));
  }
  check.has_data(slots).is_on_device_of("a", arguments.a).is_aligned(rows);
}

/// Checks limit and alpha.
void check_activation(const GroupedGemm& arguments) {
  const float given = arguments.limit;
  if (!(given >= 0.0F && given <= std::numeric_limits<float>::max())) [[unlikely]] {
    host::refuse(op_name, fmt::format("limit is {}, but must be finite and positive, or 0", given));
  }
  if (given != 0.0F && !takes_limit(arguments.activation)) [[unlikely]] {
    host::refuse(op_name, fmt::format("limit is {}, but only silu_and_mul and swiglu_oai have one", given));
  }
  if (!std::isfinite(arguments.alpha)) [[unlikely]] {
    host::refuse(op_name, fmt::format("alpha is {}, but must be finite", arguments.alpha));
  }
}

/// Checks the bias. Returns its type as a parameter.
GemmBias check_bias(const GroupedGemm& arguments) {
  const TensorView& view = arguments.bias;
  const host::TensorCheck check(op_name, "bias", view);
  check.is_float();
  if (view.rank != 2 || view.dim(0) != arguments.b.dim(0) || view.dim(1) != arguments.b.dim(1)) [[unlikely]] {
    host::refuse_shape(
        op_name, "bias", view,
        fmt::format("[{}, {}], one for each row of b", arguments.b.dim(0), arguments.b.dim(1)));
  }
  const host::Rows rows = check.contiguous_rows();
  check.has_data(rows.count).is_on_device_of("a", arguments.a).is_aligned(rows);
  return view.dtype == DType::bf16  ? GemmBias::bf16
         : view.dtype == DType::f16 ? GemmBias::f16
                                    : GemmBias::f32;
}

/// Checks b against a. Returns the bits that limit the alignment of its rows.
std::uint64_t check_matrices(const GroupedGemm& arguments) {
  const TensorView& b = arguments.b;
  const host::TensorCheck check(op_name, "b", b);
  const std::int64_t depth = arguments.a.dim(-1);
  const bool packed = b.dtype == DType::u8;
  if (packed) {
    require_packed_types(arguments.a.dtype, b.dtype, depth);
  } else if (b.dtype != arguments.a.dtype) [[unlikely]] {
    host::refuse_dtype(op_name, "b", b.dtype,
                       fmt::format("{}, as a, or u8, two values of 4 bits", name_of(arguments.a.dtype)));
  }
  if (b.rank != 3 || b.dim(2) != (packed ? depth / 2 : depth)) [[unlikely]] {
    host::refuse_shape(op_name, "b", b,
                       fmt::format("[experts, n, {}], {}the last dimension of a", packed ? depth / 2 : depth,
                                   packed ? "half of " : ""));
  }
  if (b.dim(0) < 1 || b.dim(0) > grouping::max_experts) [[unlikely]] {
    host::refuse_range(op_name, "the first dimension of b (experts)", b.dim(0), 1, grouping::max_experts);
  }
  if (b.dim(1) < 1 || b.dim(1) > most_columns) [[unlikely]] {
    host::refuse_range(op_name, "the second dimension of b (n)", b.dim(1), 1, most_columns);
  }
  if (b.stride(2) != 1 && depth > 1) [[unlikely]] {
    host::refuse_last_stride(op_name, "b", b);
  }
  check.has_data(1).is_on_device_of("a", arguments.a);
  const auto bytes = static_cast<std::uint64_t>(size_of(b.dtype));
  const std::uint64_t bits = reinterpret_cast<std::uintptr_t>(b.data) |
                             (b.dim(0) > 1 ? static_cast<std::uint64_t>(b.stride(0)) * bytes : 0U) |
                             (b.dim(1) > 1 ? static_cast<std::uint64_t>(b.stride(1)) * bytes : 0U);
  if (static_cast<std::uint64_t>(host::alignment_of(bits)) < bytes) [[unlikely]] {
    host::refuse_misaligned(op_name, "b", b);
  }
  return bits;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = definition_of<GroupedGemm>();
  const std::int64_t columns = host::required_param(op, bindings, "n");
  const std::int64_t depth = host::required_param(op, bindings, "k");
  const std::int32_t count = host::required_param(op, bindings, "experts");
  const std::int32_t slots_of_row = host::setting(op, bindings, "top_k").value_or(1);
  const std::int32_t size = host::setting(op, bindings, "block").value_or(64);
  const DType type = host::dtype_setting(op, bindings, "a_dtype", DType::bf16);
  const std::int64_t slots = rows * slots_of_row;
  const std::int64_t places = align_block_size_places(slots, count, size);
  std::vector<TensorPlan> plans;
  const auto add = [&](const char* name, DType of, std::vector<std::int64_t> shape) {
    plans.emplace_back();
    plans.back().name = name;
    plans.back().dtype = of;
    plans.back().shape = std::move(shape);
  };
  add("a", type, {rows, depth});
  const auto form = static_cast<ScaleForm>(host::setting(op, bindings, "scale_form").value_or(0));
  if (is_packed(form)) {
    add("b", DType::u8, {count, columns, depth / 2});
  } else {
    add("b", host::dtype_setting(op, bindings, "b_dtype", type), {count, columns, depth});
  }
  plans.push_back(grouping::plan_integers("sorted", {places}, places));
  plans.push_back(grouping::plan_integers("expert", {places / size}, count));
  plans.push_back(grouping::plan_integers("total", {1}, places + 1));
  if (is_packed(form)) {
    add("b_scales", form == ScaleForm::mxfp4 ? DType::ue8m0 : DType::bf16, {count, columns, depth / 32});
  } else if (form == ScaleForm::blocks) {
    const std::int64_t groups = host::divide_up(depth, std::int64_t{128});
    add("a_scales", DType::f32, {rows, groups});
    add("b_scales", DType::f32, {count, host::divide_up(columns, std::int64_t{128}), groups});
  } else if (host::setting(op, bindings, "has_scales").value_or(0) != 0) {
    add("a_scales", DType::f32, {rows});
    add("b_scales", DType::f32, {count, columns});
  }
  const auto of_bias = static_cast<GemmBias>(host::setting(op, bindings, "bias").value_or(0));
  if (of_bias != GemmBias::none) {
    const DType types[] = {DType::bf16, DType::f16, DType::f32};
    add("bias", types[static_cast<int>(of_bias) - 1], {count, columns});
  }
  if (host::setting(op, bindings, "has_weights").value_or(0) != 0) {
    add("weights", DType::f32, {slots});
  }
  return plans;
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  const OpDefinition& op = definition_of<GroupedGemm>();
  const TensorView& a = bindings.require_tensor(op_name, "a");
  const TensorView& b = bindings.require_tensor(op_name, "b");
  const host::Rows rows = host::flatten(op_name, "a", a);
  if (b.rank != 3) {
    host::refuse_shape(op_name, "b", b, "[experts, n, k]");
  }
  TensorPlan c;
  c.name = "c";
  c.dtype = host::dtype_setting(op, bindings, "c_dtype", size_of(a.dtype) == 1 ? DType::bf16 : a.dtype);
  const bool gated = static_cast<GemmActivation>(host::setting(op, bindings, "activation").value_or(0)) !=
                     GemmActivation::none;
  c.shape = {rows.count * host::setting(op, bindings, "top_k").value_or(1), columns_of(b.dim(1), gated)};
  return {c};
}

}  // namespace

Call bind(const GroupedGemm& arguments) {
  const TensorView& a = arguments.a;
  const TensorView& c = arguments.c;
  const host::TensorCheck a_check(op_name, "a", a);
  const host::TensorCheck c_check(op_name, "c", c);
  if (a.dtype != DType::bf16 && a.dtype != DType::f16 && a.dtype != DType::fp8_e4m3 && a.dtype != DType::i8)
      [[unlikely]] {
    host::refuse_dtype(op_name, "a", a.dtype, "bf16, f16, fp8_e4m3 or i8");
  }
  const host::Rows a_rows = a_check.contiguous_rows();
  const host::Rows c_rows = c_check.is_float().output_rows();
  const std::int64_t depth = a.dim(-1);
  if (depth < 1 || depth > most_columns) [[unlikely]] {
    host::refuse_range(op_name, "the last dimension of a (k)", depth, 1, most_columns);
  }
  if (arguments.top_k < 1 || arguments.top_k > grouping::max_top_k) [[unlikely]] {
    host::refuse_range(op_name, "top_k", arguments.top_k, 1, grouping::max_top_k);
  }
  const std::uint64_t b_bits = check_matrices(arguments);
  check_activation(arguments);
  const bool gated = arguments.activation != GemmActivation::none;
  if (gated && arguments.b.dim(1) % 2 != 0) [[unlikely]] {
    host::refuse_shape(op_name, "b", arguments.b,
                       "an even second dimension: as many rows of gates as of ups");
  }
  const std::int64_t columns = columns_of(arguments.b.dim(1), gated);
  const std::int64_t count = arguments.b.dim(0);
  const std::int64_t slots = a_rows.count * arguments.top_k;
  if (slots > std::numeric_limits<std::int32_t>::max() - 1) [[unlikely]] {
    host::refuse_range(op_name, "the number of slots", slots, 0,
                       std::numeric_limits<std::int32_t>::max() - 1);
  }
  if (c_rows.count != slots || c.dim(-1) != columns) [[unlikely]] {
    host::refuse_shape(
        op_name, "c", c,
        fmt::format("{} rows (top_k = {} for each of {} rows of a) of {}, {} of b", slots, arguments.top_k,
                    a_rows.count, columns, gated ? "half of the rows" : "the rows"));
  }
  a_check.has_data(a_rows.count);
  c_check.has_data(slots).is_on_device_of("a", a);
  check_grouping(arguments, slots, count);
  const bool weighted = !arguments.weights.absent();
  if (weighted) {
    check_weights(arguments, slots);
  }
  const bool scaled =
      !arguments.a_scales.absent() || !arguments.b_scales.absent() || arguments.b.dtype == DType::u8;
  const GemmScales scales = scaled ? check_gemm_scales(arguments, a_rows.count) : GemmScales{};
  const GemmBias bias_type = arguments.bias.absent() ? GemmBias::none : check_bias(arguments);
  host::require_apart(op_name, {{"c", c}},
                      {{"a", a},
                       {"b", arguments.b},
                       {"sorted", arguments.sorted},
                       {"expert", arguments.expert},
                       {"total", arguments.total},
                       {"weights", arguments.weights},
                       {"a_scales", arguments.a_scales},
                       {"b_scales", arguments.b_scales},
                       {"bias", arguments.bias}});

  const std::int64_t bytes = size_of(a.dtype);
  Call call;
  call.spec.values[a_dtype] = host::to_param(a.dtype);
  call.spec.values[b_dtype] = host::to_param(arguments.b.dtype);
  call.spec.values[c_dtype] = host::to_param(c.dtype);
  call.spec.values[n] = static_cast<std::int32_t>(arguments.b.dim(1));
  call.spec.values[k] = static_cast<std::int32_t>(depth);
  call.spec.values[experts] = static_cast<std::int32_t>(count);
  call.spec.values[top_k] = arguments.top_k;
  call.spec.values[block] = arguments.block;
  call.spec.values[has_weights] = weighted ? 1 : 0;
  call.spec.values[has_scales] = scaled ? 1 : 0;
  call.spec.values[scale_form] = static_cast<std::int32_t>(scales.form);
  call.spec.values[scale_alignment] = scales.alignment;
  call.spec.values[activation] = static_cast<std::int32_t>(arguments.activation);
  // swiglu_oai has a limit whether or not it is given, so both calls have one kernel.
  call.spec.values[limit] =
      arguments.limit > 0.0F && arguments.activation == GemmActivation::silu_and_mul ? 1 : 0;
  call.spec.values[bias] = static_cast<std::int32_t>(bias_type);
  call.spec.values[alignment] =
      std::min({a_check.access_bytes(a_rows, bytes), c_check.access_bytes(c_rows, bytes),
                host::alignment_of(
                    b_bits | static_cast<std::uint64_t>(arguments.b.dim(2) * size_of(arguments.b.dtype)) |
                    static_cast<std::uint64_t>(columns * bytes))});
  call.rows = a_rows.count;
  call.device = a.device;
  call.set_arguments(GroupedGemmKernelArgs{
      .a = a.data,
      .b = arguments.b.data,
      .c = c.data,
      .sorted = static_cast<const int*>(arguments.sorted.data),
      .expert = static_cast<const int*>(arguments.expert.data),
      .total = static_cast<const int*>(arguments.total.data),
      .weights = static_cast<const float*>(arguments.weights.data),
      .a_scales = static_cast<const float*>(arguments.a_scales.data),
      .b_scales = arguments.b_scales.data,
      .a_stride = a_rows.stride,
      .b_expert_stride = arguments.b.stride(0),
      .b_stride = arguments.b.stride(1),
      .c_stride = c_rows.stride,
      .a_scales_stride = scales.a,
      .b_scales_expert_stride = scales.b_expert,
      .b_scales_stride = scales.b,
      .a_scales_group_stride = scales.a_group,
      .b_scales_group_stride = scales.b_group,
      .bias = arguments.bias.data,
      .bias_expert_stride = arguments.bias.stride(0),
      .limit = arguments.limit > 0.0F ? arguments.limit : gpt_oss_limit,
      .alpha = arguments.alpha,
      .slots = static_cast<int>(slots),
      .places = static_cast<int>(arguments.sorted.dim(0)),
  });
  return call;
}

}  // namespace kerncast::moe

KERNCAST_OP(moe, grouped_gemm) {
  using namespace moe;
  OpDefinition op = host::define<GroupedGemm, describe>();
  op.summary = "Rows times the matrix of the expert that they are grouped under";
  op.formula =
      "c[s] = weights[s] * a[s / top_k] * transpose(b[e]) for each slot s that sorted names in a block of "
      "expert e, in f32, in order of k, rounded once; without weights each is 1 (the products of vLLM's and "
      "SGLang's fused_moe). Scales: one for each row of a and of b multiplies the product first; with "
      "scale_form = blocks the sum of each 128 of k, from 0 on, times (its scale of a * its scale of b) is "
      "added by fma; with mxfp4 and int4 so is the sum of each 32 of k times its scale of b. bias[e] is "
      "added then. An activation: c[s] = weights[s] * act(g, u) of the first and "
      "the second half of the products, which are not rounded before; swiglu_oai takes them in turns";
  op.params = host::params(
      host::param<a_dtype>(host::dtype_param({DType::bf16, DType::f16, DType::fp8_e4m3, DType::i8},
                                             DType::bf16, "element type of a")),
      host::param<b_dtype>(host::dtype_param({DType::bf16, DType::f16, DType::fp8_e4m3, DType::i8, DType::u8},
                                             DType::bf16, "element type of b; u8: two values of 4 bits")),
      host::param<c_dtype>(
          host::dtype_param({DType::bf16, DType::f16, DType::f32}, DType::bf16, "element type of c")),
      host::param<n>(host::integer_param(1, most_columns, std::nullopt, "rows of an expert's matrix")),
      host::param<k>(host::integer_param(1, most_columns, std::nullopt, "elements of a row of a and of b")),
      host::param<experts>(host::integer_param(1, grouping::max_experts, std::nullopt, "experts E")),
      host::param<top_k>(host::integer_param(1, grouping::max_top_k, 1, "rows of c for each row of a")),
      host::param<block>(host::integer_param(1, most_block, 64, "elements of sorted that share an expert")),
      host::param<has_weights>(host::flag_param(false, "multiply each row of c by its weight")),
      host::param<has_scales>(host::flag_param(false, "a and b have scales")),
      host::param<activation>(host::choice_param(
          {"none", "silu_and_mul", "gelu_and_mul", "gelu_tanh_and_mul", "swiglu_oai"},
          "function of the products with gates, the first n / 2 rows of b, times those with the others; with "
          "swiglu_oai the rows are gates and ups in turns")),
      host::param<alignment>(host::listed_param(
          {1, 2, 4, 8, 16}, 16,
          "bytes of a and b per access; derived from the tensors' pointers, strides and sizes")),
      host::param<scale_form>(
          host::choice_param({"rows", "blocks", "mxfp4", "int4"},
                             "the scales are of rows; f32 for 128 elements of a and blocks of 128 by 128 of "
                             "b; or of 32 elements "
                             "of b alone, which is fp4 e2m1 with ue8m0 or int4 with bf16")),
      host::param<limit>(
          host::flag_param(false, "silu_and_mul limits gates and ups; swiglu_oai always does")),
      host::param<bias>(host::choice_param({"none", "bf16", "f16", "f32"},
                                           "type of the bias, which is added to the products")),
      host::param<scale_alignment>(host::listed_param(
          {1, 2, 4, 8, 16}, 16,
          "bytes of b_scales per access if b has 4 bits; derived from pointer and strides")));
  op.tunables =
      host::tunables(host::tunable<tile_m>("rows of c of a tile", {8, 16, 32, 64, 128}),
                     host::tunable<tile_n>("columns of c of a tile", {32, 64, 128}),
                     host::tunable<tile_k>("elements of k of a stage of the pipeline", {32, 64, 128}),
                     host::tunable<stages>("stages of the pipeline", {2, 3, 4}),
                     host::tunable<warps>("warps of a block", {4, 8}),
                     host::tunable<tiles_together>(
                         "tiles along the rows that take the same columns one after the other", {1, 4, 16}));
  op.validate = validate;
  op.default_tunables = default_tunables;
  op.tunables_defect = tunables_defect;
  op.geometry = geometry;
  op.plan_inputs = plan_inputs;
  op.plan_outputs = plan_outputs;
  op.model_cases = expert_products;
  return op;
}
