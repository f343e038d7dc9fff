#pragma once

#include "comm/all_reduce/kernel_args.h"
#include "comm/shared/exchange.cuh"
#include "device/programmatic_launch.cuh"

namespace kerncast::comm {

/// A thread takes a line of 16 bytes at a time. All blocks run at once, since blocks of one rank wait for
/// those of another. y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads) all_reduce_kernel(const AllReduceKernelArgs args) {
  wait_for_primary();
  using X = Element<Config>;
  constexpr int row = row_lines<Config>;
  const auto own = [&](long long line) {
    return load_line<Config>(static_cast<const X*>(args.x) + line / row * args.x_stride,
                             static_cast<int>(line % row));
  };
  const auto write = [&](long long line, const uint4& data) {
    store_line<Config>(static_cast<X*>(args.y) + line / row * args.y_stride, static_cast<int>(line % row),
                       data);
  };
  const long long first = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  if constexpr (Config::world == 1) {
    for (long long line = first; line < args.rows * row; line += step) {
      write(line, own(line));
    }
    launch_dependents();
  } else {
    Exchange<Config> exchange(args.exchange);
    if (exchange.broken()) {
      return;
    }
    const auto sent = [&](long long line) { return without_negative_zeros<X>(own(line)); };
    for (long long line = first; line < exchange.lines(); line += step) {
      exchange.push(line, sent(line));
    }
    exchange.meet();
    if constexpr (Exchange<Config>::two_steps) {
      exchange.reduce_part(sent);
    }
    for (long long line = first; line < exchange.lines(); line += step) {
      write(line, Exchange<Config>::two_steps ? exchange.result(line) : exchange.sum(line, sent(line)));
    }
    // Before this the dependents' blocks could take the place of blocks that other ranks wait for.
    launch_dependents();
    exchange.finish();
  }
}

}  // namespace kerncast::comm
