#pragma once

namespace kerncast {

/// Most slots that one block groups. If there are more, several blocks share them.
inline constexpr int block_slots = 4096;

/// The slots to be grouped by expert. Each element of `ids`, rows of top_k ids, is a slot.
struct GroupingArgs {
  const int* ids;
  const int* expert_map;  ///< [map_size]: the expert of each id; unused without has_expert_map
  int* workspace;         ///< [blocks, experts]: counts; unused unless several blocks share the slots
  long long ids_stride;
  int slots;
  int map_size;
};

}  // namespace kerncast
