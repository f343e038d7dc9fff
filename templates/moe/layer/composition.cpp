#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>

#include <kerncast/ops/moe/align_block_size.hpp>
#include <kerncast/ops/moe/fused_gate.hpp>
#include <kerncast/ops/moe/grouped_gemm.hpp>
#include <kerncast/ops/moe/layer.hpp>
#include <kerncast/ops/moe/sum_reduce.hpp>
#include <kerncast/ops/moe/topk_sigmoid.hpp>
#include <kerncast/ops/moe/topk_softmax.hpp>
#include <kerncast/ops/quant/per_token_fp8.hpp>
#include <kerncast/ops/quant/per_token_group.hpp>
#include <kerncast/ops/quant/per_token_int8.hpp>
#include "templates/host/checks.hpp"
#include "templates/host/overlap.hpp"
#include "templates/host/tensor_check.hpp"
#include "templates/moe/shared/grouping.hpp"

namespace kerncast::moe {
namespace {

constexpr std::string_view op_name = Layer::op_name;
constexpr std::int64_t row_alignment = 128;
constexpr std::int64_t small_alignment = 16;
constexpr int scale_group = 128;
constexpr std::int64_t packed_group = 32;

/// The sizes of a layer.
struct Extents {
  std::int64_t tokens = 0;
  std::int64_t hidden = 0;
  std::int64_t width = 0;  ///< elements of a row between the products
  std::int64_t experts = 0;
  std::int64_t top_k = 0;
  std::int64_t slots = 0;
  DType between = DType::bf16;  ///< type of the first product
  bool is_quantised = false;    ///< the products take rows of 8 bits
  bool quantises_x = false;
  std::int64_t x_groups = 1;    ///< scales of a row of x
  std::int64_t row_groups = 1;  ///< scales of a row between the products
  bool skips = false;           ///< ids may name no expert of w13
};

void check_matrix(std::string_view name, const TensorView& view, std::string_view wanted) {
  if (view.rank != 3) [[unlikely]] {
    host::refuse_shape(op_name, name, view, wanted);
  }
}

/// Matrices of u8 hold two values of 4 bits to a byte.
bool is_packed(const Layer& layer) {
  return layer.w13.dtype == DType::u8;
}

/// Matrices of 8 bits are multiplied by quantised rows.
bool is_quantised(const Layer& layer) {
  return layer.w13.dtype == DType::fp8_e4m3 || layer.w13.dtype == DType::i8;
}

constexpr bool is_half(DType type) {
  return type == DType::bf16 || type == DType::f16;
}

[[noreturn]] void refuse_x(const Layer& layer) {
  const std::string_view type = name_of(layer.w13.dtype);
  host::refuse_dtype(op_name, "x", layer.x.dtype,
                     is_packed(layer)          ? "bf16 or f16 if w13 is u8, two values of 4 bits"
                     : !is_quantised(layer)    ? fmt::format("{}, as w13", type)
                     : layer.x_scales.absent() ? fmt::format("bf16, f16, f32 or {}", type)
                                               : fmt::format("{}, as w13, to have x_scales", type));
}

void check_types(const Layer& layer) {
  const DType type = layer.w13.dtype;
  if (!is_half(type) && !is_quantised(layer) && !is_packed(layer)) [[unlikely]] {
    host::refuse_dtype(op_name, "w13", type, "bf16, f16, fp8_e4m3, i8, or u8, two values of 4 bits");
  }
  if (layer.w2.dtype != type) [[unlikely]] {
    host::refuse_dtype(op_name, "w2", layer.w2.dtype, fmt::format("{}, as w13", name_of(type)));
  }
  const DType of_x = layer.x.dtype;
  const bool takes_floats = is_quantised(layer) && layer.x_scales.absent();
  if (is_packed(layer) ? !is_half(of_x) : of_x != type && !(takes_floats && host::is_float(of_x)))
      [[unlikely]] {
    refuse_x(layer);
  }
  host::require_float(op_name, "y", layer.y);
}

/// Bytes, or elements of more than 4 bits, of a row of `width` values of a matrix.
std::int64_t stored_width(const Layer& layer, std::string_view what, std::int64_t width) {
  if (!is_packed(layer)) {
    return width;
  }
  if (width % packed_group != 0) [[unlikely]] {
    host::refuse(op_name, fmt::format("{} is {}, but matrices of 4 bits need a multiple of {}, which share a "
                                      "scale; nearest valid: {}",
                                      what, width, packed_group,
                                      std::max<std::int64_t>(width / packed_group, 1) * packed_group));
  }
  return width / 2;
}

/// Checks what the gate and the ids say about each other and about the experts.
void check_routing(const Layer& layer, Extents& made) {
  if (layer.gate == LayerGate::given) {
    for (const auto& [name, view] : {std::pair{"ids", &layer.ids}, std::pair{"weights", &layer.weights}}) {
      host::require_present(op_name, name, *view);
      if (view->rank != 2 || view->dim(0) != made.tokens) [[unlikely]] {
        host::refuse_shape(op_name, name, *view, fmt::format("[{}, K], a row for each of x", made.tokens));
      }
    }
    if (!layer.num_token_non_padded.absent()) [[unlikely]] {
      host::refuse(op_name, "num_token_non_padded is for the gates; without one, ids of padding are -1");
    }
    made.top_k = layer.ids.dim(1);
    made.skips = true;
    return;
  }
  made.top_k = layer.top_k;
  made.skips = !layer.expert_map.absent() || !layer.num_token_non_padded.absent();
  host::require_present(op_name, "logits", layer.logits);
  if (layer.logits.rank != 2 || layer.logits.dim(0) != made.tokens) [[unlikely]] {
    host::refuse_shape(op_name, "logits", layer.logits,
                       fmt::format("[{}, experts], a row for each of x", made.tokens));
  }
  const std::int64_t named = layer.logits.dim(1) + layer.num_fused_shared_experts;
  const bool mapped = !layer.expert_map.absent();
  if (const std::int64_t known =
          mapped && layer.expert_map.rank == 1 ? layer.expert_map.dim(0) : made.experts;
      known != named) [[unlikely]] {
    host::refuse(op_name,
                 fmt::format("the gate chooses among {} experts, shared ones included, but {} has {}; an "
                             "expert_map of {} says which of them w13 holds",
                             named, mapped ? "expert_map" : "w13", known, named));
  }
}

/// Scales of a row of `width` elements that is multiplied by a matrix with `scales`.
std::int64_t groups_of(std::int64_t width, const TensorView& scales) {
  return scales.rank == 3 ? host::divide_up(width, scale_group) : 1;
}

/// Checks shapes and dtypes; what a part of the layer checks of its own tensors is left to it.
Extents extents_of(const Layer& layer) {
  Extents made;
  const TensorView& x = layer.x;
  if (x.rank != 2) [[unlikely]] {
    host::refuse_shape(op_name, "x", x, "[tokens, hidden]");
  }
  made.tokens = x.dim(0);
  made.hidden = x.dim(1);
  check_matrix("w13", layer.w13, "[experts, 2 * width, hidden]");
  check_matrix("w2", layer.w2, "[experts, hidden, width]");
  check_types(layer);
  made.experts = layer.w13.dim(0);
  made.width = layer.w13.dim(1) / 2;
  const std::string_view of_packed = is_packed(layer) ? "half of " : "";
  if (const std::int64_t stored = stored_width(layer, "the last dimension of x (hidden)", made.hidden);
      layer.w13.dim(2) != stored || layer.w13.dim(1) % 2 != 0) [[unlikely]] {
    host::refuse_shape(op_name, "w13", layer.w13,
                       fmt::format("[experts, 2 * width, {}], {}the last dimension of x", stored, of_packed));
  }
  if (const std::int64_t stored =
          stored_width(layer, "half of the second dimension of w13 (width)", made.width);
      layer.w2.dim(0) != made.experts || layer.w2.dim(1) != made.hidden || layer.w2.dim(2) != stored)
      [[unlikely]] {
    host::refuse_shape(op_name, "w2", layer.w2,
                       fmt::format("[{}, {}, {}], after w13{}", made.experts, made.hidden, stored,
                                   is_packed(layer) ? ", two values to a byte" : ""));
  }
  if (layer.y.rank != 2 || layer.y.dim(0) != made.tokens || layer.y.dim(1) != made.hidden) [[unlikely]] {
    host::refuse_shape_of(op_name, "y", layer.y, "x", x);
  }
  made.is_quantised = is_quantised(layer);
  made.quantises_x = made.is_quantised && x.dtype != layer.w13.dtype;
  made.x_groups = groups_of(made.hidden, layer.w13_scales);
  made.row_groups = groups_of(made.width, layer.w2_scales);
  made.between = !made.is_quantised ? layer.x.dtype : layer.y.dtype == DType::f16 ? DType::f16 : DType::bf16;
  check_routing(layer, made);
  if (layer.activation == GemmActivation::none) [[unlikely]] {
    host::refuse(op_name, "activation is none, but the first product has gates and ups");
  }
  if (made.experts < 1 || made.experts > grouping::max_experts) [[unlikely]] {
    host::refuse_range(op_name, "the first dimension of w13 (experts)", made.experts, 1,
                       grouping::max_experts);
  }
  if (made.top_k < 1 || made.top_k > grouping::max_top_k) [[unlikely]] {
    host::refuse_range(op_name, "top_k", made.top_k, 1, grouping::max_top_k);
  }
  if (layer.block < 1 || layer.block > 1024) [[unlikely]] {
    host::refuse_range(op_name, "block", layer.block, 1, 1024);
  }
  if (const std::int64_t most = (std::numeric_limits<std::int32_t>::max() - 1) / made.top_k;
      made.tokens > most) [[unlikely]] {
    host::refuse_range(op_name, "the first dimension of x (tokens)", made.tokens, 0, most);
  }
  made.slots = made.tokens * made.top_k;
  return made;
}

/// Bytes from the start of the workspace to each of its tensors.
struct Places {
  std::int64_t ids = 0;
  std::int64_t weights = 0;
  std::int64_t sorted = 0;
  std::int64_t expert = 0;
  std::int64_t total = 0;
  std::int64_t counts = 0;  ///< of the grouping
  std::int64_t x = 0;       ///< x, quantised
  std::int64_t x_scales = 0;
  std::int64_t first = 0;  ///< the first product
  std::int64_t rows = 0;   ///< the first product, quantised
  std::int64_t row_scales = 0;
  std::int64_t second = 0;  ///< the second product
  std::int64_t bytes = 0;
};

/// Places of the tensors in the workspace. The grouping's results live to the second product. Each other step
/// needs the results of the step before it, so that two tensors live at a time: the first product lies at the
/// end of the room that the larger of its two neighbours leaves, and the second product after its factors.
Places places_of(const Layer& layer, const Extents& of) {
  Places made;
  if (of.tokens == 0) {
    return made;
  }
  std::int64_t at = 0;
  const auto take = [&at](std::int64_t bytes, std::int64_t alignment) {
    const std::int64_t from = host::round_up(at, alignment);
    at = from + bytes;
    return from;
  };
  const std::int64_t places = align_block_size_places(of.slots, static_cast<int>(of.experts), layer.block);
  if (layer.ids.absent()) {
    made.ids = take(4 * of.slots, small_alignment);
  }
  if (layer.weights.absent()) {
    made.weights = take(4 * of.slots, small_alignment);
  }
  made.sorted = take(4 * places, small_alignment);
  made.expert = take(4 * (places / layer.block), small_alignment);
  made.total = take(4, small_alignment);
  const std::int64_t arena = host::round_up(at, row_alignment);
  at = arena;
  made.counts = take(4 * align_block_size_workspace(of.slots, static_cast<int>(of.experts)), small_alignment);
  const std::int64_t counts_end = at;
  const std::int64_t first_bytes = of.slots * of.width * size_of(of.between);
  std::int64_t x_end = arena;
  std::int64_t rows_end = arena;
  if (of.quantises_x) {
    at = arena;
    made.x = take(of.tokens * of.hidden, row_alignment);
    made.x_scales = take(4 * of.tokens * of.x_groups, small_alignment);
    x_end = at;
  }
  if (of.is_quantised) {
    at = arena;
    made.rows = take(of.slots * of.width, row_alignment);
    made.row_scales = take(4 * of.slots * of.row_groups, small_alignment);
    rows_end = at;
  }
  const std::int64_t after_first = std::max(x_end, rows_end);
  at = of.is_quantised ? rows_end : arena + first_bytes;
  made.second = take(of.slots * of.hidden * size_of(layer.y.dtype), row_alignment);
  const std::int64_t second_end = at;
  // Without quantised rows the first product itself is what the second one is made of.
  made.first = !of.is_quantised ? arena
                                : std::max(host::round_up(after_first, row_alignment),
                                           (second_end - first_bytes) / row_alignment * row_alignment);
  made.bytes = std::max({counts_end, second_end, made.first + first_bytes});
  return made;
}

void check_workspace(const Layer& layer, const Extents& of, const Places& places) {
  const TensorView& room = layer.workspace;
  const host::TensorCheck check(op_name, "workspace", room);
  if (of.tokens == 0) {
    return;
  }
  check.is_present().has_data(1).is_on_device_of("x", layer.x);
  std::int64_t stride = 1;
  for (int i = room.rank - 1; i >= 0; --i) {
    if (room.dim(i) > 1 && room.stride(i) != stride) [[unlikely]] {
      host::refuse_shape(op_name, "workspace", room, "contiguous elements");
    }
    stride *= room.dim(i);
  }
  if (const std::int64_t bytes = room.numel() * size_of(room.dtype); bytes < places.bytes) [[unlikely]] {
    host::refuse(op_name, fmt::format("workspace has {} bytes, but {} tokens with {} slots each need {}",
                                      bytes, of.tokens, of.top_k, places.bytes));
  }
  if (reinterpret_cast<std::uintptr_t>(room.data) % row_alignment != 0) [[unlikely]] {
    host::refuse(op_name, fmt::format("the pointer {} of workspace is not a multiple of {}; align it",
                                      room.data, row_alignment));
  }
}

void check_memory(const Layer& layer) {
  const TensorView none;
  const bool gated = layer.gate != LayerGate::given;
  host::require_apart(op_name,
                      {{"y", layer.y, "x", "addend"},
                       {"workspace", layer.workspace},
                       {"ids", gated ? layer.ids : none},
                       {"weights", gated ? layer.weights : none}},
                      {{"x", layer.x},
                       {"w13", layer.w13},
                       {"w2", layer.w2},
                       {"logits", layer.logits},
                       {"bias", layer.bias},
                       {"num_token_non_padded", layer.num_token_non_padded},
                       {"ids", gated ? none : layer.ids},
                       {"weights", gated ? none : layer.weights},
                       {"expert_map", layer.expert_map},
                       {"x_scales", layer.x_scales},
                       {"w13_scales", layer.w13_scales},
                       {"w2_scales", layer.w2_scales},
                       {"w13_bias", layer.w13_bias},
                       {"w2_bias", layer.w2_bias},
                       {"addend", layer.addend}});
}

/// Calls `call` with the gate's arguments.
template <class Each>
void call_gate(const Layer& layer, const TensorView& ids, const TensorView& weights, const Each& call) {
  constexpr std::string_view role = "its gate";
  switch (layer.gate) {
    case LayerGate::given:
      return;
    case LayerGate::topk_softmax:
      call(role, TopkSoftmax{.logits = layer.logits,
                             .bias = layer.bias,
                             .weights = weights,
                             .ids = ids,
                             .num_token_non_padded = layer.num_token_non_padded,
                             .renormalize = layer.renormalize,
                             .softcap = layer.softcap});
      return;
    case LayerGate::topk_sigmoid:
      call(role, TopkSigmoid{.logits = layer.logits,
                             .bias = layer.bias,
                             .weights = weights,
                             .ids = ids,
                             .num_token_non_padded = layer.num_token_non_padded,
                             .renormalize = layer.renormalize});
      return;
    case LayerGate::fused_gate:
      call(role, FusedGate{.logits = layer.logits,
                           .bias = layer.bias,
                           .weights = weights,
                           .ids = ids,
                           .num_token_non_padded = layer.num_token_non_padded,
                           .groups = layer.groups,
                           .topk_group = layer.topk_group,
                           .num_fused_shared_experts = layer.num_fused_shared_experts,
                           .renormalize = layer.renormalize,
                           .routed_scaling_factor = layer.routed_scaling_factor,
                           .scoring = layer.scoring});
      return;
  }
}

/// Calls `call` with the quantisation of the rows `x` to `q`; `scales` are those of the matrix that they are
/// multiplied by. Returns the scales of the rows, which lie at `place`.
template <class Each>
TensorView call_quantisation(std::string_view role, const TensorView& x, const TensorView& q, void* place,
                             const TensorView& scales, const Each& call) {
  const std::int64_t groups = groups_of(x.dim(1), scales);
  TensorView made = TensorView::contiguous(place, DType::f32, {x.dim(0), groups}, x.device);
  if (scales.rank == 3) {
    call(role, quant::PerTokenGroup{.x = x, .q = q, .s = made, .group = scale_group});
    return made;
  }
  if (q.dtype == DType::i8) {
    call(role, quant::PerTokenInt8{.x = x, .q = q, .s = made});
  } else {
    call(role, quant::PerTokenFp8{.x = x, .q = q, .s = made});
  }
  made.rank = 1;
  return made;
}

/// Calls `call` with the role and the arguments of each op of the layer, in order.
template <class Each>
void for_each_call(const Layer& layer, const Extents& of, const Places& places, const Each& call) {
  auto* const room = static_cast<std::byte*>(layer.workspace.data);
  const auto view = [&](std::int64_t place, DType type, std::initializer_list<std::int64_t> dims) {
    return TensorView::contiguous(room + place, type, dims, layer.x.device);
  };
  const TensorView ids = layer.ids.absent() ? view(places.ids, DType::i32, {of.tokens, of.top_k}) : layer.ids;
  const TensorView weights =
      layer.weights.absent() ? view(places.weights, DType::f32, {of.tokens, of.top_k}) : layer.weights;
  call_gate(layer, ids, weights, call);

  const auto count = static_cast<int>(of.experts);
  const std::int64_t sorted_places = align_block_size_places(of.slots, count, layer.block);
  const TensorView sorted = view(places.sorted, DType::i32, {sorted_places});
  const TensorView expert = view(places.expert, DType::i32, {sorted_places / layer.block});
  const TensorView total = view(places.total, DType::i32, {1});
  const std::int64_t counts = align_block_size_workspace(of.slots, count);
  call("its grouping",
       AlignBlockSize{.ids = ids,
                      .expert_map = layer.expert_map,
                      .sorted = sorted,
                      .expert = expert,
                      .total = total,
                      .workspace = counts > 0 ? view(places.counts, DType::i32, {counts}) : TensorView{},
                      .experts = count,
                      .block = layer.block});
  TensorView x = layer.x;
  TensorView x_scales = layer.x_scales;
  if (of.quantises_x) {
    x = view(places.x, layer.w13.dtype, {of.tokens, of.hidden});
    x_scales = call_quantisation("its quantisation of x", layer.x, x, room + places.x_scales,
                                 layer.w13_scales, call);
  }
  TensorView rows = view(places.first, of.between, {of.slots, of.width});
  call("its first product, of x (a) and w13 (b)", GroupedGemm{.a = x,
                                                              .b = layer.w13,
                                                              .sorted = sorted,
                                                              .expert = expert,
                                                              .total = total,
                                                              .c = rows,
                                                              .a_scales = x_scales,
                                                              .b_scales = layer.w13_scales,
                                                              .top_k = static_cast<int>(of.top_k),
                                                              .activation = layer.activation,
                                                              .block = layer.block,
                                                              .limit = layer.limit,
                                                              .alpha = layer.alpha,
                                                              .bias = layer.w13_bias});
  TensorView row_scales;
  if (of.is_quantised) {
    const TensorView quantised = view(places.rows, layer.w2.dtype, {of.slots, of.width});
    row_scales = call_quantisation("its quantisation between the products", rows, quantised,
                                   room + places.row_scales, layer.w2_scales, call);
    rows = quantised;
  }
  call("its second product, of the first (a) and w2 (b)",
       GroupedGemm{.a = rows,
                   .b = layer.w2,
                   .sorted = sorted,
                   .expert = expert,
                   .total = total,
                   .c = view(places.second, layer.y.dtype, {of.slots, of.hidden}),
                   .weights = weights,
                   .a_scales = row_scales,
                   .b_scales = layer.w2_scales,
                   .block = layer.block,
                   .bias = layer.w2_bias});
  call("its sum", SumReduce{.x = view(places.second, layer.y.dtype, {of.tokens, of.top_k, of.hidden}),
                            .addend = layer.addend,
                            .y = layer.y,
                            .routed_scaling_factor = layer.routed_scaling_factor,
                            .ids = of.skips ? ids : TensorView{},
                            .expert_map = of.skips ? layer.expert_map : TensorView{},
                            .experts = of.skips ? count : 1024});
}

/// The calls of a layer, checked.
struct BoundLayer {
  std::array<const OpDefinition*, PreparedLayer::most_calls> ops{};
  std::array<Call, PreparedLayer::most_calls> calls;
  std::size_t count = 0;

  explicit BoundLayer(const Layer& layer) {
    const Extents extents = extents_of(layer);
    const Places places = places_of(layer, extents);
    check_workspace(layer, extents, places);
    check_memory(layer);
    if (extents.tokens == 0) {
      return;
    }
    for_each_call(layer, extents, places, [this]<class Part>(std::string_view role, const Part& part) {
      try {
        calls[count] = bind(part);
      } catch (const Error& error) {
        throw Error(error.code(), fmt::format("{}, {}: {}", op_name, role, error.what()));
      }
      ops[count++] = &definition_of<Part>();
    });
  }
};

}  // namespace

std::int64_t layer_workspace(const Layer& layer) {
  return places_of(layer, extents_of(layer)).bytes;
}

PreparedLayer::PreparedLayer(Runtime& runtime, const Layer& layer) {
  const BoundLayer bound(layer);
  for (; count_ < bound.count; ++count_) {
    launches_[count_] = runtime.prepare(*bound.ops[count_], bound.calls[count_]);
  }
}

void PreparedLayer::launch(Stream stream) const {
  for (std::size_t i = 0; i < count_; ++i) {
    launches_[i].launch(stream);
  }
}

}  // namespace kerncast::moe

namespace kerncast {

void launch(Runtime& runtime, const moe::Layer& layer, Stream stream) {
  const moe::BoundLayer bound(layer);
  for (std::size_t i = 0; i < bound.count; ++i) {
    runtime.dispatch(*bound.ops[i], bound.calls[i], stream);
  }
}

}  // namespace kerncast
