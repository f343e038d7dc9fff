#pragma once

#include "activation/gated_args.h"
#include "device/activation.cuh"
#include "device/group_grid.cuh"
#include "device/masked_rows.cuh"

namespace kerncast::activation {

/// A thread per vector of x, of which it has `vectors` in flight.
template <class Config, class Activation>
__device__ __forceinline__ void gated_activation(const GatedKernelArgs& args) {
  using X = typename Config::x_dtype;
  using Y = typename Config::y_dtype;
  constexpr bool masked = Config::experts > 0;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  // Interleaved, a vector holds a gate and an up at least.
  constexpr int count = !Activation::interleaved ? width : width < 2 ? 1 : width / 2;
  using Grid = GroupGrid<Config::hidden / count, Config::threads, Config::vectors>;

  const X* x = static_cast<const X*>(args.x) + expert_offset<masked>(args.x_expert_stride);
  Y* y = static_cast<Y*>(args.y) + expert_offset<masked>(args.y_expert_stride);
  const long long rows = counted_rows<masked>(args.masked_m, args.rows);
  float values[Config::vectors][count];
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    const auto [row, vector] = Grid::place(threadIdx.x, i);
    if (row < rows) {
      load_gated<Activation, X, Y, Config::hidden, count, width>(x + row * args.x_stride, vector * count,
                                                                 values[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    const auto [row, vector] = Grid::place(threadIdx.x, i);
    if (row < rows) {
      store_values<Y, count>(y + row * args.y_stride + vector * count, values[i]);
    }
  }
}

}  // namespace kerncast::activation
