#include <kerncast/ops/moe/align_block_size.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "templates/host/define_op.hpp"
#include "templates/host/overlap.hpp"
#include "templates/host/typed_op.hpp"
#include "templates/moe/align_block_size/kernel_args.h"
#include "templates/moe/align_block_size/spec_index.hpp"
#include "templates/moe/shared/grouping.hpp"

namespace kerncast::moe {
namespace {

using namespace align_block_size_params;

constexpr std::string_view op_name = AlignBlockSize::op_name;
constexpr std::int64_t max_block = 1024;

Tunables default_tunables(const Specialisation& spec, const DeviceTraits&, std::int64_t rows) {
  Tunables made;
  made.values[threads] = grouping::threads_for(spec[experts], host::bucket_ceiling(rows) * spec[top_k]);
  return made;
}

std::string tunables_defect(const Specialisation& spec, const Tunables& tunables, const DeviceTraits&) {
  return grouping::threads_defect(tunables[threads], spec[experts], spec[split] != 0);
}

LaunchGeometry blocks(const Specialisation& spec, const Tunables& tunables, std::int64_t rows) noexcept {
  LaunchGeometry made = host::linear_grid(spec[split] != 0 ? grouping::blocks_of(rows * spec[top_k]) : 1);
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

Call make_call(const AlignBlockSize& arguments, bool wants_split) {
  const grouping::Slots slots = grouping::check(op_name, arguments.ids, arguments.expert_map,
                                                arguments.workspace, arguments.experts, wants_split);
  if (arguments.block < 1 || arguments.block > max_block) [[unlikely]] {
    host::refuse_range(op_name, "block", arguments.block, 1, max_block);
  }
  const int device = arguments.ids.device;
  const std::int64_t needed =
      align_block_size_places(slots.arguments.slots, arguments.experts, arguments.block);
  if (needed > std::numeric_limits<std::int32_t>::max()) [[unlikely]] {
    host::refuse_range(op_name, "the places of all slots", needed, 0,
                       std::numeric_limits<std::int32_t>::max());
  }
  grouping::check_integers(
      op_name, "sorted", arguments.sorted, needed,
      [&] {
        return fmt::format("shape [{}] or larger ({} ids, {} experts, blocks of {})", needed,
                           slots.arguments.slots, arguments.experts, arguments.block);
      },
      device);
  const std::int64_t places = arguments.sorted.dim(0);
  if (places % arguments.block != 0 || places > std::numeric_limits<std::int32_t>::max()) [[unlikely]] {
    host::refuse_shape(op_name, "sorted", arguments.sorted,
                       fmt::format("a number of elements that is a multiple of block = {}", arguments.block));
  }
  grouping::check_integers(
      op_name, "expert", arguments.expert, places / arguments.block,
      [&] { return fmt::format("shape [{}], one per block of sorted", places / arguments.block); }, device);
  grouping::check_integers(op_name, "total", arguments.total, 1, [] { return "shape [1]"; }, device);
  host::require_apart(op_name,
                      {{"sorted", arguments.sorted},
                       {"expert", arguments.expert},
                       {"total", arguments.total},
                       {"workspace", arguments.workspace}},
                      {{"ids", arguments.ids}, {"expert_map", arguments.expert_map}});

  Call call;
  call.spec.values[experts] = arguments.experts;
  call.spec.values[top_k] = static_cast<std::int32_t>(slots.top_k);
  call.spec.values[block] = arguments.block;
  call.spec.values[has_expert_map] = arguments.expert_map.absent() ? 0 : 1;
  call.spec.values[split] = slots.split ? 1 : 0;
  // Even without tokens the kernel runs, to write a total of 0.
  call.rows = std::max<std::int64_t>(slots.tokens, 1);
  call.device = device;
  call.set_arguments(AlignBlockSizeKernelArgs{
      .grouping = slots.arguments,
      .sorted = static_cast<int*>(arguments.sorted.data),
      .expert = static_cast<int*>(arguments.expert.data),
      .total = static_cast<int*>(arguments.total.data),
      .places = static_cast<int>(places),
  });
  return call;
}

void describe(host::NamedArguments& named, AlignBlockSize& call) {
  named.input("ids", call.ids, "[..., top_k], i32; rows may be strided");
  named.optional_input("expert_map", call.expert_map,
                       "[experts of all ranks], i32: this rank's expert, or -1");
  named.output("sorted", call.sorted,
               "[P], i32; P a multiple of block, at least min(slots + experts * (block - 1) rounded up, "
               "slots * block)");
  named.output("expert", call.expert, "[P / block], i32");
  named.output("total", call.total, "[1], i32");
  named.optional_output("workspace", call.workspace, "if split: [ceil(slots / 4096) * experts], i32");
  named.required_setting("experts", call.experts);
  named.setting("block", call.block);
}

/// Binds the arguments by name. The caller may ask for several blocks by `split`.
Call bind_by_name(const Bindings& bindings) {
  const OpDefinition& op = definition_of<AlignBlockSize>();
  AlignBlockSize arguments;
  host::NamedArguments named(op, bindings);
  describe(named, arguments);
  Call call = make_call(arguments, host::setting(op, bindings, "split").value_or(0) != 0);
  check_settings_agree(op, call.spec, bindings);
  return call;
}

std::vector<TensorPlan> plan_inputs(const Bindings& bindings, std::int64_t rows) {
  const OpDefinition& op = definition_of<AlignBlockSize>();
  const std::int32_t count = host::required_param(op, bindings, "experts");
  const std::int32_t slots = host::required_param(op, bindings, "top_k");
  std::vector<TensorPlan> plans = {grouping::plan_integers("ids", {rows, slots}, count)};
  if (host::setting(op, bindings, "has_expert_map").value_or(0) != 0) {
    plans.push_back(grouping::plan_integers("expert_map", {count}, count));
  }
  return plans;
}

std::vector<TensorPlan> plan_outputs(const Bindings& bindings) {
  const OpDefinition& op = definition_of<AlignBlockSize>();
  const TensorView& ids = bindings.require_tensor(op_name, "ids");
  const std::int32_t count = host::required_param(op, bindings, "experts");
  const std::int32_t size = host::setting(op, bindings, "block").value_or(64);
  const std::int64_t places = align_block_size_places(ids.numel(), count, size);
  std::vector<TensorPlan> plans = {grouping::plan_integers("sorted", {places}),
                                   grouping::plan_integers("expert", {places / size}),
                                   grouping::plan_integers("total", {1})};
  if (host::setting(op, bindings, "split").value_or(0) != 0 || ids.numel() > block_slots) {
    plans.push_back(grouping::plan_integers("workspace", {grouping::workspace_size(ids.numel(), count)}));
  }
  return plans;
}

std::vector<ModelCase> model_cases(const ModelConfig& model) {
  std::vector<ModelCase> cases;
  if (model.experts < 1 || model.experts > grouping::max_experts || model.top_k < 1 ||
      model.top_k > grouping::max_top_k) {
    return cases;
  }
  for (const bool many : {false, true}) {
    ModelCase made;
    made.label = many ? "experts' blocks, many tokens" : "experts' blocks";
    made.params = {{"experts", std::to_string(model.local_experts())},
                   {"top_k", std::to_string(model.top_k)},
                   {"block", "64"}};
    // Without the setting, the number of slots decides, and a run with many rows is split as well.
    if (many) {
      made.params.emplace_back("split", "true");
    }
    cases.push_back(made);
    if (model.expert_ranks > 1) {
      made.label += " of one rank";
      made.params.emplace_back("has_expert_map", "true");
      cases.push_back(std::move(made));
    }
  }
  return cases;
}

}  // namespace

std::int64_t align_block_size_places(std::int64_t slots, int experts, int block) noexcept {
  return std::min(host::round_up(slots + experts * (std::int64_t{block} - 1), block), slots * block);
}

std::int64_t align_block_size_workspace(std::int64_t slots, int experts) noexcept {
  return slots > block_slots ? grouping::workspace_size(slots, experts) : 0;
}

Call bind(const AlignBlockSize& arguments) {
  return make_call(arguments, false);
}

}  // namespace kerncast::moe

KERNCAST_OP(moe, align_block_size) {
  using namespace moe;
  OpDefinition op = host::define<AlignBlockSize, describe>();
  op.summary = "Slots grouped by expert into blocks of one expert each";
  op.formula =
      "sorted: per expert in order, its slots t * K + k increasing, padded with T * K to a multiple of "
      "block; past the total T * K. expert[i]: that of block i, past the total -1. total: padded slots "
      "of all experts. Ids below 0 or from experts on are skipped, after expert_map if there is one (as "
      "vLLM's and sgl-kernel's moe_align_block_size, but stable)";
  op.kernel = "kerncast::moe::align_block_size_count_kernel";
  op.later_stages = {{"kerncast::moe::align_block_size_kernel", place_geometry}};
  op.params = host::params(
      host::param<experts>(host::integer_param(1, grouping::max_experts, std::nullopt, "experts E")),
      host::param<top_k>(host::integer_param(1, grouping::max_top_k, std::nullopt, "slots K of a token")),
      host::param<block>(host::integer_param(1, max_block, 64, "slots B of a block")),
      host::param<has_expert_map>(host::flag_param(false, "ids name experts of all ranks")),
      host::param<split>(host::flag_param(
          false, "several blocks count, then place; derived: true if there are more than 4096 slots")));
  op.tunables = host::tunables(host::tunable_range<threads>("threads of a block", 128, 1024, 32));
  op.default_tunables = default_tunables;
  op.geometry = count_geometry;
  op.tunables_defect = tunables_defect;
  op.bind = bind_by_name;
  op.plan_outputs = plan_outputs;
  op.plan_inputs = plan_inputs;
  op.model_cases = model_cases;
  return op;
}
