#pragma once

#include "comm/all_reduce_add_rms_norm/kernel_args.h"
#include "comm/shared/exchange.cuh"
#include "device/programmatic_launch.cuh"
#include "norm/shared/added_rms/added_rms.cuh"

namespace kerncast::comm {

/// A block has a row by itself.
template <class Config>
struct BlockRow : Config {
  static constexpr int rows_per_block = 1;
};

/// One row by a block at a time. All blocks run at once, since blocks of one rank wait for those of another.
/// The sums over the ranks pass through this rank's workspace, whose lines stay in the L2 cache. y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads)
    all_reduce_add_rms_norm_kernel(const AllReduceAddRmsNormKernelArgs args) {
  wait_for_primary();
  using X = Element<Config>;
  const auto row_of_x = [&](long long row) {
    return static_cast<const X*>(args.norm.x) + row * args.norm.x_stride;
  };
  if constexpr (Config::world == 1) {
    for (long long row = blockIdx.x; row < args.norm.rows; row += gridDim.x) {
      norm::add_and_normalise<BlockRow<Config>>(args.norm, row, row_of_x(row), true);
      __syncthreads();
    }
    launch_dependents();
  } else {
    constexpr int lines = row_lines<Config>;
    constexpr bool two_steps = Exchange<Config>::two_steps;
    Exchange<Config> exchange(args.exchange);
    if (exchange.broken()) {
      return;
    }
    const auto sent = [&](long long line) {
      return without_negative_zeros<X>(
          load_line<Config>(row_of_x(line / lines), static_cast<int>(line % lines)));
    };
    for (long long row = blockIdx.x; row < args.norm.rows; row += gridDim.x) {
      for (int i = static_cast<int>(threadIdx.x); i < lines; i += Config::threads) {
        exchange.push(row * lines + i, sent(row * lines + i));
      }
    }
    exchange.meet();
    if constexpr (two_steps) {
      exchange.reduce_part(sent);
    }
    for (long long row = blockIdx.x; row < args.norm.rows; row += gridDim.x) {
      uint4* reduced = exchange.results() + row * lines;
      for (int i = static_cast<int>(threadIdx.x); i < lines; i += Config::threads) {
        const long long line = row * lines + i;
        if constexpr (two_steps) {
          static_cast<void>(exchange.result(line));
        } else {
          reduced[i] = exchange.sum(line, sent(line));
        }
      }
      if constexpr (two_steps) {
        // Stores of other ranks that this thread has seen become visible to its block.
        __threadfence_system();
      }
      __syncthreads();
      norm::add_and_normalise<BlockRow<Config>>(args.norm, row, reinterpret_cast<const X*>(reduced), true);
      __syncthreads();
    }
    // Before this the dependents' blocks could take the place of blocks that other ranks wait for.
    launch_dependents();
    exchange.finish();
  }
}

}  // namespace kerncast::comm
