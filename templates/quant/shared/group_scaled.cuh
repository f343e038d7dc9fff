#pragma once

#include "device/group_grid.cuh"
#include "device/masked_rows.cuh"
#include "device/quantisation/quantise.cuh"
#include "quant/shared/group_scaled_args.h"

namespace kerncast::quant {

/// Quantises rows by groups. 1 to 32 lanes of a warp share a group, and a thread has parts of `vectors`
/// groups in flight. `load(row, column, values)` reads the thread's part of a group from a row of x.
template <class Config, bool Masked, class Load>
__device__ __forceinline__ void quantise_rows(const GroupScaledKernelArgs& args, Load load) {
  using X = typename Config::x_dtype;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  constexpr int share = group_share(width, Config::group);
  constexpr int lanes = Config::group / share;
  using Grid = GroupGrid<Config::hidden / Config::group, Config::threads / lanes, Config::vectors>;

  const X* x = static_cast<const X*>(args.x) + expert_offset<Masked>(args.x_expert_stride);
  const long long rows = counted_rows<Masked>(args.masked_m, args.rows);
  if (Masked && Grid::place(0, 0).row >= rows) {
    return;
  }
  float values[Config::vectors][share] = {};
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    const auto [row, group] = Grid::place(threadIdx.x / lanes, i);
    if (row < rows) {
      load(x + row * args.x_stride, group * Config::group + threadIdx.x % lanes * share, values[i]);
    }
  }
  const GroupQuantisedRows out{
      static_cast<unsigned char*>(args.q) + expert_offset<Masked>(args.q_expert_stride),
      static_cast<unsigned*>(args.s) + expert_offset<Masked>(args.s_expert_stride),
      args.q_stride,
      args.s_stride,
      rows,
      Masked ? rows : args.padded_rows};
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    const auto [row, group] = Grid::place(threadIdx.x / lanes, i);
    quantise_group<Config, share, width>(out, values[i], row,
                                         group * Config::group + threadIdx.x % lanes * share);
  }
}

}  // namespace kerncast::quant
