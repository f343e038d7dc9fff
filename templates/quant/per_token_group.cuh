#pragma once

#include "device/group_grid.cuh"
#include "device/quantise.cuh"
#include "quant/per_token_group_args.h"

namespace kerncast::quant {

/// A group by 1 to 32 lanes of a warp.
template <class Config>
__global__ void __launch_bounds__(Config::threads)
    per_token_group_kernel(const PerTokenGroupKernelArgs args) {
  using X = typename Config::x_dtype;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  constexpr int share = group_share(width * Config::vectors, Config::group);
  constexpr int lanes = Config::group / share;
  constexpr int stored = Config::alignment == 16 ? (share < 16 ? share : 16) : width;

  const auto [row, group] =
      group_place<Config::hidden / Config::group, Config::threads / lanes>(threadIdx.x / lanes);
  const int column = group * Config::group + threadIdx.x % lanes * share;
  const X* x = static_cast<const X*>(args.x) + row * args.x_stride + column;
  float values[share] = {};
  if (row < args.rows) {
#pragma unroll
    for (int i = 0; i < share; i += width) {
      load_values<X, width>(x + i, values + i);
    }
  }
  quantise_group<Config, share, stored>(
      {args.q, args.s, args.q_stride, args.s_stride, args.rows, args.padded_rows}, values, row, column);
}

}  // namespace kerncast::quant
