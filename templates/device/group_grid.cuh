#pragma once

#include "device/index.cuh"

/// The assignment of the groups of rows to the threads of a grid. templates/host/group_grid.hpp computes the
/// size of the grid.
namespace kerncast {

/// Number of consecutive values of a group that a thread takes: a vector, or more if a warp could not cover
/// the group otherwise.
constexpr int group_share(int width, int group) {
  const int wanted = width > group / 32 ? width : group / 32;
  return wanted < group ? wanted : group;
}

struct GroupPlace {
  long long row;
  int group;
};

/// A grid whose blocks take `Slots` consecutive groups `Turns` times. A row has `Groups` groups, and a block
/// may go on into the next row. Blocks and rows realign every `period` blocks, which keeps the index
/// arithmetic within 32 bits.
template <int Groups, int Slots, int Turns>
struct GroupGrid {
  static constexpr int per_block = Slots * Turns;
  static constexpr int common = greatest_common_divisor(Groups, per_block);
  static constexpr unsigned period = Groups / common;
  static constexpr unsigned period_rows = per_block / common;
  /// True if every block lies within a row.
  static constexpr bool within_row = Groups % per_block == 0;

  __device__ __forceinline__ static GroupPlace place(unsigned slot, unsigned turn) {
    const long long first_row = static_cast<long long>(blockIdx.y) * (gridDim.x / period * period_rows) +
                                blockIdx.x / period * period_rows;
    return within(blockIdx.x % period, first_row, slot, turn);
  }

  /// The place that place() gives in block number `tile`, for kernels whose blocks process several tiles.
  __device__ __forceinline__ static GroupPlace place_of(unsigned tile, unsigned slot, unsigned turn) {
    return within(tile % period, static_cast<long long>(tile / period) * period_rows, slot, turn);
  }

 private:
  __device__ __forceinline__ static GroupPlace within(unsigned block, long long first_row, unsigned slot,
                                                      unsigned turn) {
    const unsigned local = block * per_block + turn * Slots + slot;
    if constexpr (within_row) {
      return {first_row, static_cast<int>(local)};
    } else {
      return {first_row + local / Groups, static_cast<int>(local % Groups)};
    }
  }
};

}  // namespace kerncast
