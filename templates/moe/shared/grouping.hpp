#pragma once

#include <cstdint>
#include <string_view>

#include "kerncast/op.hpp"
#include "templates/device/grouping_args.h"
#include "templates/host/checks.hpp"

/// What the definitions of the ops that group slots by expert share.
namespace kerncast::moe::grouping {

constexpr std::int64_t max_experts = 1024;
constexpr std::int64_t max_top_k = 64;
/// Most slots of a block; where there are more, several blocks share them.
constexpr std::int64_t block_slots = 4096;

/// Blocks that group `slots` slots where they are split.
[[nodiscard]] constexpr std::int64_t blocks_of(std::int64_t slots) noexcept {
  return slots <= block_slots ? 1 : host::divide_up(slots, block_slots);
}

/// Elements of the workspace that splitting needs.
[[nodiscard]] constexpr std::int64_t workspace_size(std::int64_t slots, std::int64_t experts) noexcept {
  return blocks_of(slots) * experts;
}

/// Threads of a grouping block: one per expert or more, but a warp's counts take 4 bytes per expert of shared
/// memory, and where experts are many, more than 16 warps have more counts to clear and add up than slots.
[[nodiscard]] constexpr std::int32_t threads_for(std::int64_t experts, std::int64_t slots) noexcept {
  const std::int32_t most = experts <= 64 ? 1024 : experts <= 512 ? 512 : experts <= 896 ? 256 : 128;
  const std::int32_t least = experts <= 128 ? 128 : experts <= 256 ? 256 : 512;
  const std::int32_t wanted = slots <= 128 ? least : slots <= 1024 ? 512 : 1024;
  return wanted < most ? wanted : most;
}

/// The checked slots of a call.
struct Slots {
  GroupingArgs arguments;
  std::int64_t tokens = 0;
  std::int64_t top_k = 0;
  bool split = false;  ///< so many that several blocks count first
};

/// Checks ids, expert_map (optional), and the workspace where one is needed or `split` asks for it. Throws
/// Error(invalid_argument).
[[nodiscard]] Slots check(std::string_view op, const TensorView& ids, const TensorView& expert_map,
                          const TensorView& workspace, std::int64_t experts, bool split);

/// Checks an i32 output of `elements` elements or more, contiguous.
void check_integers(std::string_view op, std::string_view name, const TensorView& view, std::int64_t elements,
                    std::string_view wanted, int device);

/// A plan of i32 elements.
[[nodiscard]] TensorPlan plan_integers(std::string_view name, std::initializer_list<std::int64_t> shape,
                                       std::int64_t below = 8);

}  // namespace kerncast::moe::grouping
