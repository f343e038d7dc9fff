#include <kerncast/ops/moe/align_block_size.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "templates/moe/align_block_size/kernel_args.h"
#include "templates/moe/align_block_size/spec_index.hpp"
#include "templates/moe/shared/grouping.hpp"
#include "templates/moe/shared/router.hpp"

namespace kerncast {
namespace {

using namespace moe::align_block_size_params;

constexpr std::string_view op_name = "moe.align_block_size";
constexpr std::int64_t max_block = 1024;

Tunables default_tunables(const Specialisation& spec, const DeviceTraits&, std::int64_t rows) {
  Tunables made;
  made.values[threads] = moe::grouping::threads_for(spec[experts], host::bucket_ceiling(rows) * spec[top_k]);
  return made;
}

LaunchGeometry blocks(const Specialisation& spec, const Tunables& tunables, std::int64_t rows) noexcept {
  LaunchGeometry made =
      host::linear_grid(spec[split] != 0 ? moe::grouping::blocks_of(rows * spec[top_k]) : 1);
  made.block[0] = static_cast<std::uint32_t>(tunables[threads]);
  return made;
}

LaunchGeometry count_geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                              std::int64_t rows) noexcept {
  LaunchGeometry made = blocks(spec, tunables, rows);
  made.grid[0] = spec[split] != 0 ? made.grid[0] : 0;
  return made;
}

LaunchGeometry place_geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&,
                              std::int64_t rows) noexcept {
  return blocks(spec, tunables, rows);
}

Call make_call(const moe::AlignBlockSize& arguments, bool wants_split) {
  const moe::grouping::Slots slots = moe::grouping::check(
      op_name, arguments.ids, arguments.expert_map, arguments.workspace, arguments.experts, wants_split);
  if (arguments.block < 1 || arguments.block > max_block) [[unlikely]] {
    host::refuse_range(op_name, "block", arguments.block, 1, max_block);
  }
  const int device = arguments.ids.device;
  const std::int64_t needed =
      moe::align_block_size_places(slots.arguments.slots, arguments.experts, arguments.block);
  if (needed > std::numeric_limits<std::int32_t>::max()) [[unlikely]] {
    host::refuse_range(op_name, "the places of all slots", needed, 0,
                       std::numeric_limits<std::int32_t>::max());
  }
  moe::grouping::check_integers(op_name, "sorted", arguments.sorted, needed,
                                fmt::format("shape [{}] or larger ({} ids, {} experts, blocks of {})", needed,
                                            slots.arguments.slots, arguments.experts, arguments.block),
                                device);
  const std::int64_t places = arguments.sorted.dim(0);
  if (places % arguments.block != 0 || places > std::numeric_limits<std::int32_t>::max()) [[unlikely]] {
    host::refuse_shape(op_name, "sorted", arguments.sorted,
                       fmt::format("a number of elements that is a multiple of block = {}", arguments.block));
  }
  moe::grouping::check_integers(op_name, "expert", arguments.expert, places / arguments.block,
                                fmt::format("shape [{}], one per block of sorted", places / arguments.block),
                                device);
  moe::grouping::check_integers(op_name, "total", arguments.total, 1, "shape [1]", device);

  Call call;
  call.spec.values[experts] = arguments.experts;
  call.spec.values[top_k] = static_cast<std::int32_t>(slots.top_k);
  call.spec.values[block] = arguments.block;
  call.spec.values[has_expert_map] = arguments.expert_map.absent() ? 0 : 1;
  call.spec.values[split] = slots.split ? 1 : 0;
  // Without tokens there is a total of 0 to be written.
  call.rows = std::max<std::int64_t>(slots.tokens, 1);
  call.device = device;
  call.set_arguments(moe::AlignBlockSizeKernelArgs{
      slots.arguments, static_cast<int*>(arguments.sorted.data), static_cast<int*>(arguments.expert.data),
      static_cast<int*>(arguments.total.data), static_cast<int>(places)});
  return call;
}

Call bind(const Bindings& bindings) {
  const OpDefinition& op = moe::align_block_size_op();
  moe::AlignBlockSize arguments;
  arguments.ids = bindings.require_tensor(op_name, "ids");
  arguments.expert_map = bindings.tensor_or_absent("expert_map");
  arguments.sorted = bindings.require_tensor(op_name, "sorted");
  arguments.expert = bindings.require_tensor(op_name, "expert");
  arguments.total = bindings.require_tensor(op_name, "total");
  arguments.workspace = bindings.tensor_or_absent("workspace");
  arguments.experts = moe::router::required_setting(op, bindings, "experts");
  arguments.block = host::setting(op, bindings, "block").value_or(64);
  const std::optional<std::int32_t> wants_split = host::setting(op, bindings, "split");
  Call call = make_call(arguments, wants_split.value_or(0) != 0);
  check_settings_agree(op, call.spec, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = moe::align_block_size_op();
  const std::int32_t count = moe::router::required_setting(op, bindings, "experts");
  const std::int32_t slots = moe::router::required_setting(op, bindings, "top_k");
  std::vector<TensorPlan> plans = {moe::grouping::plan_integers("ids", {rows, slots}, count)};
  if (host::setting(op, bindings, "has_expert_map").value_or(0) != 0) {
    plans.push_back(moe::grouping::plan_integers("expert_map", {count}, count));
  }
  return plans;
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  const OpDefinition& op = moe::align_block_size_op();
  const TensorView& ids = bindings.require_tensor(op_name, "ids");
  const std::int32_t count = moe::router::required_setting(op, bindings, "experts");
  const std::int32_t size = host::setting(op, bindings, "block").value_or(64);
  const std::int64_t places = moe::align_block_size_places(ids.numel(), count, size);
  std::vector<TensorPlan> plans = {moe::grouping::plan_integers("sorted", {places}),
                                   moe::grouping::plan_integers("expert", {places / size}),
                                   moe::grouping::plan_integers("total", {1})};
  if (host::setting(op, bindings, "split").value_or(0) != 0 || ids.numel() > moe::grouping::block_slots) {
    plans.push_back(
        moe::grouping::plan_integers("workspace", {moe::grouping::workspace_size(ids.numel(), count)}));
  }
  return plans;
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (model.experts < 1 || model.experts > moe::grouping::max_experts || model.top_k < 1 ||
      model.top_k > moe::grouping::max_top_k) {
    return cases;
  }
  for (const bool many : {false, true}) {
    ModelCase made;
    made.label = many ? "experts' blocks, many tokens" : "experts' blocks";
    made.params = {{"experts", std::to_string(model.local_experts())},
                   {"top_k", std::to_string(model.top_k)},
                   {"block", "64"},
                   {"split", many ? "true" : "false"}};
    cases.push_back(made);
    if (model.expert_ranks > 1) {
      made.label += " of one rank";
      made.params.emplace_back("has_expert_map", "true");
      cases.push_back(std::move(made));
    }
  }
  return cases;
}

OpDefinition make_definition() {
  OpDefinition op;
  op.name = op_name;
  op.summary = "Slots grouped by expert into blocks of one expert each";
  op.formula =
      "sorted: per expert in order, its slots t * K + k increasing, padded with T * K to a multiple of "
      "block; "
      "past the total T * K. expert[i]: that of block i, past the total -1. total: padded slots of all "
      "experts. Ids below 0 or from experts on are skipped, after expert_map where there is one (as vLLM's "
      "and sgl-kernel's moe_align_block_size, but stable)";
  op.include = "moe/align_block_size/kernel.cuh";
  op.kernel = "kerncast::moe::align_block_size_count_kernel";
  op.later_stages = {{"kerncast::moe::align_block_size_kernel", place_geometry}};
  op.arguments_type = "kerncast::moe::AlignBlockSizeKernelArgs";
  op.params = {
      host::integer_param("experts", 1, moe::grouping::max_experts, std::nullopt, "experts E"),
      host::integer_param("top_k", 1, moe::grouping::max_top_k, std::nullopt, "slots K of a token"),
      host::integer_param("block", 1, max_block, 64, "slots B of a block"),
      host::flag_param("has_expert_map", false, "ids name experts of all ranks"),
      host::flag_param("split", false,
                       "several blocks count, then place; derived: where there are more than 4096 slots"),
  };
  op.tunables = {{"threads", "threads of a block", {128, 256, 512, 1024}}};
  op.tensors = {
      {"ids", Direction::in, false, "[..., top_k], i32; rows may be strided"},
      {"expert_map", Direction::in, true, "[experts of all ranks], i32: this rank's expert, or -1"},
      {"sorted", Direction::out, false,
       "[P], i32; P a multiple of block, at least min(slots + experts * (block - 1) rounded up, slots * "
       "block)"},
      {"expert", Direction::out, false, "[P / block], i32"},
      {"total", Direction::out, false, "[1], i32"},
      {"workspace", Direction::out, true, "where split: [ceil(slots / 4096) * experts], i32"},
  };
  op.default_tunables = default_tunables;
  op.geometry = count_geometry;
  op.bind = bind;
  op.plan_outputs = plan_outputs;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}

}  // namespace

namespace ops {
OpDefinition moe_align_block_size_definition();
OpDefinition moe_align_block_size_definition() {
  return make_definition();
}
}  // namespace ops

namespace moe {

std::int64_t align_block_size_places(std::int64_t slots, int experts, int block) noexcept {
  const std::int64_t size = block;
  return std::min(host::divide_up(slots + experts * (size - 1), size) * size, slots * size);
}

std::int64_t align_block_size_workspace(std::int64_t slots, int experts) noexcept {
  return slots > grouping::block_slots ? grouping::workspace_size(slots, experts) : 0;
}

const OpDefinition& align_block_size_op() {
  static const OpDefinition& op = OpRegistry::instance().require(op_name);
  return op;
}

Call align_block_size_call(const AlignBlockSize& arguments) {
  return make_call(arguments, false);
}

void align_block_size(Runtime& runtime, const AlignBlockSize& arguments, Stream stream) {
  runtime.dispatch(align_block_size_op(), align_block_size_call(arguments), stream);
}

PreparedLaunch prepare_align_block_size(Runtime& runtime, const AlignBlockSize& arguments) {
  return runtime.prepare(align_block_size_op(), align_block_size_call(arguments));
}

}  // namespace moe
}  // namespace kerncast
