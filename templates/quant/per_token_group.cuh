#pragma once

#include "device/group_grid.cuh"
#include "device/quantise.cuh"
#include "quant/per_token_group_args.h"

namespace kerncast::quant {

/// A group by 1 to 32 lanes of a warp; a thread has `vectors` groups in flight.
template <class Config>
__global__ void __launch_bounds__(Config::threads)
    per_token_group_kernel(const PerTokenGroupKernelArgs args) {
  using X = typename Config::x_dtype;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  constexpr int share = group_share(width, Config::group);
  constexpr int lanes = Config::group / share;
  using Grid = GroupGrid<Config::hidden / Config::group, Config::threads / lanes, Config::vectors>;

  float values[Config::vectors][share] = {};
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    const auto [row, group] = Grid::place(threadIdx.x / lanes, i);
    const X* x = static_cast<const X*>(args.x) + row * args.x_stride +
                 (group * Config::group + threadIdx.x % lanes * share);
    if (row < args.rows) {
#pragma unroll
      for (int j = 0; j < share; j += width) {
        load_values<X, width>(x + j, values[i] + j);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    const auto [row, group] = Grid::place(threadIdx.x / lanes, i);
    quantise_group<Config, share, width>(
        {args.q, args.s, args.q_stride, args.s_stride, args.rows, args.padded_rows}, values[i], row,
        group * Config::group + threadIdx.x % lanes * share);
  }
}

}  // namespace kerncast::quant
