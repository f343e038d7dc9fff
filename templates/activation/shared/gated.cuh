#pragma once

#include "activation/shared/gated_args.h"
#include "device/functions/activation.cuh"
#include "device/group_grid.cuh"
#include "device/masked_rows.cuh"

namespace kerncast::activation {

/// y = act(gate) * up. A thread takes a vector of x at a time and has `vectors` of them in flight.
template <class Config, class Activation>
__device__ __forceinline__ void gated_activation(const GatedKernelArgs& args) {
  using X = typename Config::x_dtype;
  using Y = typename Config::y_dtype;
  constexpr bool masked = Config::experts > 0;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  // An interleaved vector holds as many ups as gates.
  constexpr bool interleaved = Activation::order == GateOrder::interleaved;
  constexpr int count = !interleaved ? width : width < 2 ? 1 : width / 2;
  using Grid = GroupGrid<Config::hidden / count, Config::threads, Config::vectors>;

  const X* x = static_cast<const X*>(args.x) + expert_offset<masked>(args.x_expert_stride);
  Y* y = static_cast<Y*>(args.y) + expert_offset<masked>(args.y_expert_stride);
  const long long rows = counted_rows<masked>(args.masked_m, args.rows);
  if (masked && Grid::place(0, 0).row >= rows) {
    return;
  }
  GatedParts<Activation, X, Config::hidden, count, width> loaded[Config::vectors];
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    const auto [row, vector] = Grid::place(threadIdx.x, i);
    loaded[i].clear();
    if (row < rows) {
      loaded[i].load(x + row * args.x_stride, vector * count);
    }
  }
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    const auto [row, vector] = Grid::place(threadIdx.x, i);
    if (row < rows) {
      float values[count];
      loaded[i].template activate<Y>(values, {args.limit, args.alpha});
      Y* at = y + row * args.y_stride + vector * count;
      if constexpr (count * sizeof(Y) == 16) {
        // NVRTC 13.0 splits a plain store of a vector whose row depends on a mask.
        constexpr int step = 4 / static_cast<int>(sizeof(Y));
        __stwb(reinterpret_cast<uint4*>(at),
               make_uint4(pack_word<Y>(values), pack_word<Y>(values + step), pack_word<Y>(values + 2 * step),
                          pack_word<Y>(values + 3 * step)));
      } else {
        store_values<Y, count>(at, values);
      }
    }
  }
}

}  // namespace kerncast::activation
