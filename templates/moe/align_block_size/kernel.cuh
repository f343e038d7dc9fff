#pragma once

#include "device/grouping.cuh"
#include "device/index.cuh"
#include "device/programmatic_launch.cuh"
#include "moe/align_block_size/kernel_args.h"

namespace kerncast::moe {

/// Fills all places with the number of slots. The places of slots are written over later.
template <class Config>
__device__ __forceinline__ void fill_places(const AlignBlockSizeKernelArgs& args) {
  const int filler = args.grouping.slots;
  const int thread = blockIdx.x * Config::threads + threadIdx.x;
  // Up to three places lie before the first 16 bytes, and as many after the last.
  const int head = static_cast<int>(-(reinterpret_cast<unsigned long long>(args.sorted) / 4) % 4);
  const int vectors = (args.places - head) >> 2;
  const int tail = head + vectors * 4;
  auto* at = reinterpret_cast<int4*>(args.sorted + head);
#pragma unroll 1
  for (int i = thread; i < vectors; i += gridDim.x * Config::threads) {
    at[i] = make_int4(filler, filler, filler, filler);
  }
  if (thread < 4) {
    if (thread < head && thread < args.places) {
      args.sorted[thread] = filler;
    }
    if (tail + thread < args.places) {
      args.sorted[tail + thread] = filler;
    }
  }
}

/// The last expert whose places do not begin after `place`.
template <int Experts>
__device__ __forceinline__ int expert_at(const int* offsets, int place) {
  constexpr int all = power_of_two_above(Experts, 1 << 30);
  int expert = 0;
#pragma unroll
  for (int step = all / 2; step > 0; step /= 2) {
    if ((all == Experts || expert + step < Experts) && offsets[expert + step] <= place) {
      expert += step;
    }
  }
  return expert;
}

template <class Config>
__global__ void __launch_bounds__(Config::threads)
    align_block_size_count_kernel(const AlignBlockSizeKernelArgs args) {
  begin_kernel();
  if constexpr (Config::split) {
    fill_places<Config>(args);
    count_slots<Config>(args.grouping);
  }
}

template <class Config>
__global__ void __launch_bounds__(Config::threads)
    align_block_size_kernel(const AlignBlockSizeKernelArgs args) {
  begin_kernel();
  constexpr int block = Config::block;
  __shared__ Places<Config> places;
  // The barriers of place_slots() come between the filling and the slots.
  if constexpr (!Config::split) {
    fill_places<Config>(args);
  }
  place_slots<Config, block>(
      args.grouping, places,
      [&](int slot, int place) {
        if (place >= 0) {
          args.sorted[place] = slot;
        }
      },
      [](int, int) {});

  const unsigned thread = blockIdx.x * Config::threads + threadIdx.x;
  const int total = places.offsets[Config::experts];
#pragma unroll 1
  for (unsigned i = thread; i < static_cast<unsigned>(args.places) / block;
       i += gridDim.x * Config::threads) {
    const int first = static_cast<int>(i) * block;
    args.expert[i] = first < total ? expert_at<Config::experts>(places.offsets, first) : -1;
  }
  if (thread == 0) {
    *args.total = total;
  }
}

}  // namespace kerncast::moe
