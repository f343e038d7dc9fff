#pragma once

#include "device/grouping.cuh"
#include "device/programmatic_launch.cuh"
#include "moe/align_block_size/kernel_args.h"

namespace kerncast::moe {

template <class Config>
__global__ void __launch_bounds__(Config::threads)
    align_block_size_count_kernel(const AlignBlockSizeKernelArgs args) {
  begin_kernel();
  if constexpr (Config::split) {
    count_slots<Config>(args.grouping);
  }
}

template <class Config>
__global__ void __launch_bounds__(Config::threads)
    align_block_size_kernel(const AlignBlockSizeKernelArgs args) {
  begin_kernel();
  constexpr int block = Config::block;
  const int filler = args.grouping.slots;
  __shared__ Places<Config> places;
  place_slots<Config, block>(
      args.grouping, places,
      [&](int slot, int place) {
        if (place >= 0) {
          args.sorted[place] = slot;
        }
      },
      [](int, int) {});

  // Fill the tail past the total as if it belonged to one extra expert; all warps share the work.
  const int warp = (blockIdx.x * Config::threads + threadIdx.x) / 32;
  const int warps = gridDim.x * Config::threads / 32;
  const int lane = threadIdx.x % 32;
  const int total = places.offsets[Config::experts];
#pragma unroll 1
  for (int e = warp; e < Config::experts + warps; e += warps) {
    const bool past = e >= Config::experts;
    const int first = past ? total : places.offsets[e];
    const int filled = past ? total : first + places.counts[e];
    const int last = past ? args.places : places.offsets[e + 1];
    const int at = past ? warp * 32 + lane : lane;
    const int step = past ? warps * 32 : 32;
#pragma unroll 1
    for (int place = filled + at; place < last; place += step) {
      args.sorted[place] = filler;
    }
#pragma unroll 1
    for (int i = first / block + at; i < last / block; i += step) {
      args.expert[i] = past ? -1 : e;
    }
  }
  if (warp == 0 && lane == 0) {
    *args.total = total;
  }
}

}  // namespace kerncast::moe
