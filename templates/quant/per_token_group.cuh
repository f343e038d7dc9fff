#pragma once

#include "device/convert_bytes.cuh"
#include "device/index.cuh"
#include "device/reduce.cuh"
#include "device/vec.cuh"
#include "quant/per_token_group_args.h"
#include "quant/scale_layout.cuh"

namespace kerncast::quant {

/// A group by 1 to 32 lanes of a warp; a block takes consecutive groups, across the ends of rows.
template <class Config>
__global__ void __launch_bounds__(Config::threads)
    per_token_group_kernel(const PerTokenGroupKernelArgs args) {
  using X = typename Config::x_dtype;
  using Q = typename Config::q_dtype;
  constexpr int groups = Config::hidden / Config::group;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  // A thread's share is contiguous: some vectors, at least a warp's part of a group and at most a group.
  constexpr int wanted =
      width * Config::vectors > Config::group / 32 ? width * Config::vectors : Config::group / 32;
  constexpr int share = wanted < Config::group ? wanted : Config::group;
  constexpr int lanes = Config::group / share;
  constexpr int per_block = Config::threads / lanes;
  // Blocks and rows realign every `period` blocks, which keeps the index arithmetic within 32 bits.
  constexpr int common = greatest_common_divisor(groups, per_block);
  constexpr unsigned period = groups / common;
  constexpr unsigned period_rows = per_block / common;
  constexpr int stored = Config::alignment == 16 ? (share < 16 ? share : 16) : width;

  const unsigned local = blockIdx.x % period * per_block + threadIdx.x / lanes;
  const int group = static_cast<int>(local % groups);
  const long long row = static_cast<long long>(blockIdx.y) * (gridDim.x / period * period_rows) +
                        (blockIdx.x / period * period_rows + local / groups);
  const int lane = threadIdx.x % lanes;
  const bool active = row < args.rows;
  const int column = group * Config::group + lane * share;

  const X* x = static_cast<const X*>(args.x) + row * args.x_stride + column;
  float values[share] = {};
  if (active) {
#pragma unroll
    for (int i = 0; i < share; i += width) {
      load_values<X, width>(x + i, values + i);
    }
  }
  Max amax;
#pragma unroll
  for (int i = 0; i < share; ++i) {
    amax.add(fabsf(values[i]));
  }
  amax = reduce_lanes<lanes>(amax);
  const GroupScale scale = group_scale<Config::scale_format>(amax.value, max_of<Q>);

  if (active) {
    Q* q = static_cast<Q*>(args.q) + row * args.q_stride + column;
#pragma unroll
    for (int i = 0; i < share; ++i) {
      values[i] *= scale.factor;
    }
#pragma unroll
    for (int i = 0; i < share; i += stored) {
      store_values<Q, stored>(q + i, values + i);
    }
  }
  if (lane == 0 && row < args.padded_rows) {
    store_scale<Config::scale_layout, Config::scale_format, groups>(args.s, args.s_stride, row, group,
                                                                    active ? scale.bits : 0u);
  }
}

}  // namespace kerncast::quant
