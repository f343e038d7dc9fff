#pragma once

#include "device/grouping.cuh"
#include "moe/align_block_size_args.h"

namespace kerncast::moe {

template <class Config>
__global__ void __launch_bounds__(Config::threads)
    align_block_size_count_kernel(const AlignBlockSizeKernelArgs args) {
  if constexpr (Config::split) {
    count_slots<Config>(args.grouping);
  }
}

template <class Config>
__global__ void __launch_bounds__(Config::threads)
    align_block_size_kernel(const AlignBlockSizeKernelArgs args) {
  constexpr int block = Config::block;
  const int filler = args.grouping.slots;
  __shared__ Places<Config> places;
  place_slots<Config, block>(args.grouping, places, [&](int slot, int place) {
    if (place >= 0) {
      args.sorted[place] = slot;
    }
  });

  const int thread = blockIdx.x * Config::threads + threadIdx.x;
  const int threads = gridDim.x * Config::threads;
  const int lane = threadIdx.x % 32;
#pragma unroll 1
  for (int e = thread / 32; e < Config::experts; e += threads / 32) {
    const int first = places.offsets[e];
    const int last = places.offsets[e + 1];
#pragma unroll 1
    for (int place = first + places.counts[e] + lane; place < last; place += 32) {
      args.sorted[place] = filler;
    }
#pragma unroll 1
    for (int i = first / block + lane; i < last / block; i += 32) {
      args.expert[i] = e;
    }
  }
  const int total = places.offsets[Config::experts];
#pragma unroll 1
  for (int place = total + thread; place < args.places; place += threads) {
    args.sorted[place] = filler;
  }
#pragma unroll 1
  for (int i = total / block + thread; i < args.places / block; i += threads) {
    args.expert[i] = -1;
  }
  if (thread == 0) {
    *args.total = total;
  }
}

}  // namespace kerncast::moe
