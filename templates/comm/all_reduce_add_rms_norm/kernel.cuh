#pragma once

#include "comm/all_reduce_add_rms_norm/kernel_args.h"
#include "comm/shared/exchange.cuh"
#include "device/programmatic_launch.cuh"
#include "device/row.cuh"
#include "norm/shared/residual_row.cuh"
#include "norm/shared/rms.cuh"

namespace kerncast::comm {

/// A block has a row by itself.
template <class Config>
struct BlockRow : Config {
  static constexpr int rows_per_block = 1;
};

/// norm.fused_add_rms_norm of row `row`, whose x lies at `x`: it takes the same steps, so that it gives the
/// same bits.
template <class Config>
__device__ __forceinline__ void add_and_normalise(const AllReduceAddRmsNormKernelArgs& args, long long row,
                                                  const typename Config::x_dtype* x) {
  using X = typename Config::x_dtype;
  using R = typename Config::residual_dtype;
  using Y = typename Config::y_dtype;
  constexpr bool precise = sizeof(Y) == 4;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  constexpr bool has_rests = precise && !Config::round_residual;
  using Row = norm::ResidualRow<X, R, width, has_rests, span_of<X, R, Y>, width, norm::NoGate,
                                Config::round_residual>;
  R* residual = static_cast<R*>(args.residual) + row * args.residual_stride;
  Y* y = static_cast<Y*>(args.y) + row * args.y_stride;
  const auto* weight = static_cast<const typename Config::weight_dtype*>(args.weight);
  const Row sums{x, residual, residual};
  const RowWalk<Config, Row> walk(sums, true);
  const Pair scale = norm::product(norm::scale_of_row<Config::hidden, precise>(walk, args.eps));
  walk.template each<1>([&](auto part, int column, bool present) {
    if (present) {
      sums.store(column, part);
      norm::normalise_values<Config, width, precise, has_rests>(part.values, part.rests, weight + column,
                                                                scale, args.weight_offset);
      store_values<Y, width>(y + column, part.values);
    }
  });
}

/// One row by a block at a time. All blocks run at once, since blocks of one rank wait for those of another.
/// The sums over the ranks pass through this rank's workspace, whose lines stay in the L2 cache. y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads)
    all_reduce_add_rms_norm_kernel(const AllReduceAddRmsNormKernelArgs args) {
  wait_for_primary();
  using X = Element<Config>;
  const auto row_of_x = [&](long long row) { return static_cast<const X*>(args.x) + row * args.x_stride; };
  if constexpr (Config::world == 1) {
    for (long long row = blockIdx.x; row < args.rows; row += gridDim.x) {
      add_and_normalise<BlockRow<Config>>(args, row, row_of_x(row));
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
    for (long long row = blockIdx.x; row < args.rows; row += gridDim.x) {
      for (int i = static_cast<int>(threadIdx.x); i < lines; i += Config::threads) {
        exchange.push(row * lines + i, sent(row * lines + i));
      }
    }
    exchange.meet();
    if constexpr (two_steps) {
      exchange.reduce_part(sent);
    }
    for (long long row = blockIdx.x; row < args.rows; row += gridDim.x) {
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
      add_and_normalise<BlockRow<Config>>(args, row, reinterpret_cast<const X*>(reduced));
      __syncthreads();
    }
    // Before this the dependents' blocks could take the place of blocks that other ranks wait for.
    launch_dependents();
    exchange.finish();
  }
}

}  // namespace kerncast::comm
