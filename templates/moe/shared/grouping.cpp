#include "templates/moe/shared/grouping.hpp"

#include <fmt/format.h>

#include <limits>

namespace kerncast::moe::grouping {

void require_i32(std::string_view op, std::string_view name, const TensorView& view, int device) {
  if (view.dtype != DType::i32) [[unlikely]] {
    host::refuse_dtype(op, name, view.dtype, "i32");
  }
  host::require_device(op, name, view, "ids", device);
  if (reinterpret_cast<std::uintptr_t>(view.data) % 4 != 0) [[unlikely]] {
    host::refuse_misaligned(op, name, view);
  }
}

std::string threads_defect(std::int32_t threads, std::int64_t experts, bool split) {
  if (split && block_slots % threads != 0) {
    return fmt::format("{} threads do not divide the {} slots that each of several blocks takes", threads,
                       block_slots);
  }
  // Places and held in templates/device/grouping.cuh.
  constexpr std::int64_t most = std::int64_t{48} * 1024;
  const std::int64_t counts = ((split ? 2 : 1) + threads / 32) * experts;
  const std::int64_t bytes = 4 * (counts + 32 + experts + 1) + std::int64_t{2} * block_slots;
  if (bytes > most) {
    return fmt::format("the counts of {} experts in {} warps take {} bytes of shared memory, a block has {}",
                       experts, threads / 32, bytes, most);
  }
  return {};
}

Slots check(std::string_view op, const TensorView& ids, const TensorView& expert_map,
            const TensorView& workspace, std::int64_t experts, bool split) {
  if (ids.rank < 1) [[unlikely]] {
    host::refuse_rank(op, "ids", ids);
  }
  require_i32(op, "ids", ids, ids.device);
  const host::Rows rows = host::contiguous_rows(op, "ids", ids);
  Slots made;
  made.tokens = rows.count;
  made.top_k = ids.dim(-1);
  if (made.top_k < 1 || made.top_k > max_top_k) [[unlikely]] {
    host::refuse_range(op, "the last dimension of ids (top_k)", made.top_k, 1, max_top_k);
  }
  if (experts < 1 || experts > max_experts) [[unlikely]] {
    host::refuse_range(op, "experts", experts, 1, max_experts);
  }
  const std::int64_t slots = made.tokens * made.top_k;
  if (slots > std::numeric_limits<std::int32_t>::max() - 1) [[unlikely]] {
    host::refuse_range(op, "the number of ids", slots, 0, std::numeric_limits<std::int32_t>::max() - 1);
  }
  host::require_data(op, "ids", ids, rows.count);
  made.split = split || slots > block_slots;
  if (!expert_map.absent()) {
    check_integers(
        op, "expert_map", expert_map, 1, [] { return "shape [experts of all ranks]"; }, ids.device);
  }
  if (made.split) {
    const std::int64_t size = workspace_size(slots, experts);
    if (workspace.absent()) [[unlikely]] {
      host::refuse(op, fmt::format("{} ids of {} experts need a workspace; give an i32 tensor of {} elements",
                                   slots, experts, size));
    }
    check_integers(
        op, "workspace", workspace, size,
        [&] { return fmt::format("shape [{}] or larger for {} ids of {} experts", size, slots, experts); },
        ids.device);
  }
  made.arguments = {
      .ids = static_cast<const int*>(ids.data),
      .expert_map = static_cast<const int*>(expert_map.data),
      .workspace = static_cast<int*>(workspace.data),
      .ids_stride = rows.stride,
      .slots = static_cast<int>(slots),
      .map_size = expert_map.absent() ? 0 : static_cast<int>(expert_map.dim(0)),
  };
  return made;
}

TensorPlan plan_integers(std::string_view name, std::initializer_list<std::int64_t> shape,
                         std::int64_t below) {
  TensorPlan made;
  made.name = name;
  made.dtype = DType::i32;
  made.shape = shape;
  made.integers_below = below;
  return made;
}

}  // namespace kerncast::moe::grouping
