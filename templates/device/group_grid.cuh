#pragma once

#include "device/index.cuh"

/// How groups of rows fall to the threads of a grid; templates/host/group_grid.hpp sizes it.
namespace kerncast {

/// Consecutive values of a group that a thread takes: some vectors, at least a warp's part of the group and
/// at most the group.
constexpr int group_share(int vector_values, int group) {
  const int wanted = vector_values > group / 32 ? vector_values : group / 32;
  return wanted < group ? wanted : group;
}

struct GroupPlace {
  long long row;
  int group;
};

/// Group number `slot` of a block that takes `PerBlock` consecutive groups, across the ends of rows of
/// `Groups`. Blocks and rows realign every `period` blocks, which keeps the index arithmetic within 32 bits.
template <int Groups, int PerBlock>
__device__ __forceinline__ GroupPlace group_place(unsigned slot) {
  constexpr int common = greatest_common_divisor(Groups, PerBlock);
  constexpr unsigned period = Groups / common;
  constexpr unsigned period_rows = PerBlock / common;
  const unsigned local = blockIdx.x % period * PerBlock + slot;
  return {static_cast<long long>(blockIdx.y) * (gridDim.x / period * period_rows) +
              (blockIdx.x / period * period_rows + local / Groups),
          static_cast<int>(local % Groups)};
}

}  // namespace kerncast
