#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kerncast/op_definition.hpp"
#include "templates/device/grouping_args.h"
#include "templates/host/checks.hpp"

/// The host side of the ops that group slots by expert.
namespace kerncast::moe::grouping {

constexpr std::int64_t max_experts = 1024;
constexpr std::int64_t max_top_k = 64;

/// Number of blocks that share `slots` slots.
[[nodiscard]] constexpr std::int64_t blocks_of(std::int64_t slots) noexcept {
  return slots <= block_slots ? 1 : host::divide_up(slots, block_slots);
}

/// Elements of the workspace that several blocks need to share the slots.
[[nodiscard]] constexpr std::int64_t workspace_size(std::int64_t slots, std::int64_t experts) noexcept {
  return blocks_of(slots) * experts;
}

/// Threads of a grouping block. Several threads per expert are best even for few slots, since they clear and
/// add up the counts, but each warp's counts take 4 bytes of
/// shared memory per expert, and with many experts more than 16 warps have more counts to clear and add up
/// than slots.
[[nodiscard]] constexpr std::int32_t threads_for(std::int64_t experts, std::int64_t slots) noexcept {
  const std::int32_t most = experts <= 64 ? 1024 : experts <= 512 ? 512 : experts <= 896 ? 256 : 128;
  const std::int32_t least = experts <= 64 ? 128 : 512;
  const std::int32_t wanted = slots <= 128 ? least : slots <= 1024 ? 512 : 1024;
  return wanted < most ? wanted : most;
}

/// The reason why a block of `threads` cannot group the slots of `experts` experts, which several blocks
/// share if `split`; empty if it can.
[[nodiscard]] std::string threads_defect(std::int32_t threads, std::int64_t experts, bool split);

/// The slots of a call, checked.
struct Slots {
  GroupingArgs arguments;
  std::int64_t tokens = 0;
  std::int64_t top_k = 0;
  bool split = false;  ///< true if several blocks share the slots and count them first
};

/// Checks ids, expert_map (which may be absent), and the workspace if the call needs one or `split` asks for
/// it. Throws Error(invalid_argument).
[[nodiscard]] Slots check(std::string_view op, const TensorView& ids, const TensorView& expert_map,
                          const TensorView& workspace, std::int64_t experts, bool split);

/// Checks dtype, device and alignment of an i32 tensor. Throws Error(invalid_argument).
void require_i32(std::string_view op, std::string_view name, const TensorView& view, int device);

/// Checks a contiguous i32 tensor of at least `elements` elements; wanted() gives the shape in words for the
/// message, since a check that succeeds must not allocate. Throws Error(invalid_argument).
template <class Wanted>
void check_integers(std::string_view op, std::string_view name, const TensorView& view, std::int64_t elements,
                    const Wanted& wanted, int device) {
  require_i32(op, name, view, device);
  if (view.rank != 1 || view.dim(0) < elements) [[unlikely]] {
    host::refuse_shape(op, name, view, wanted());
  }
  static_cast<void>(host::contiguous_rows(op, name, view));
  host::require_data(op, name, view, elements);
}

/// The plan of an i32 tensor. Synthetic inputs are drawn from 0 up to `below`, exclusive.
[[nodiscard]] TensorPlan plan_integers(std::string_view name, std::initializer_list<std::int64_t> shape,
                                       std::int64_t below = 8);

}  // namespace kerncast::moe::grouping
