#pragma once

namespace kerncast {

/// Slots to be grouped by expert: the elements of rows of top_k ids.
struct GroupingArgs {
  const int* ids;
  const int* expert_map;  ///< from ids to experts
  int* workspace;         ///< a count per block and expert
  long long ids_stride;
  int slots;
  int map_size;  ///< ids that the map knows
};

}  // namespace kerncast
