#pragma once

#include "device/grouping_args.h"
#include "device/scan.cuh"

/// Stable grouping of slots by expert: within an expert, slots keep their order. Config names experts, top_k,
/// has_expert_map, threads and split: whether several blocks count first. A block takes the slots of a chunk,
/// a warp those of a part of it.
namespace kerncast {

/// Most slots of a block, which remembers their experts between its two passes.
inline constexpr int held_slots = 4096;

/// Whether there is a thread for each expert: to leave a loop after its only turn spares the compiler its
/// rest.
template <class Config>
inline constexpr bool one_turn = Config::experts <= Config::threads;

/// The expert of a slot, -1 if it has none.
template <class Config>
__device__ __forceinline__ int expert_of(const GroupingArgs& of, int slot) {
  // Unsigned divisions by constants are shorter.
  const auto at = static_cast<unsigned>(slot);
  int id = of.ids[at / Config::top_k * of.ids_stride + at % Config::top_k];
  if constexpr (Config::has_expert_map) {
    id = id >= 0 && id < of.map_size ? of.expert_map[id] : -1;
  }
  return id >= 0 && id < Config::experts ? id : -1;
}

/// Slots of a block, a multiple of its threads: all there are, or as many as it can remember.
template <class Config>
__device__ __forceinline__ int chunk_of(const GroupingArgs& of) {
  return Config::split ? held_slots : (of.slots + Config::threads - 1) / Config::threads * Config::threads;
}

/// Counts a chunk's slots into the workspace.
template <class Config>
__device__ __forceinline__ void count_slots(const GroupingArgs& of) {
  __shared__ int counts[Config::experts];
#pragma unroll 1
  for (int e = threadIdx.x; e < Config::experts; e += Config::threads) {
    counts[e] = 0;
    if constexpr (one_turn<Config>) {
      break;
    }
  }
  __syncthreads();
  const int chunk = chunk_of<Config>(of);
  const int first = blockIdx.x * chunk;
  const int last = min(first + chunk, of.slots);
#pragma unroll 1
  for (int slot = first + static_cast<int>(threadIdx.x); slot < last; slot += Config::threads) {
    const int expert = expert_of<Config>(of, slot);
    if (expert >= 0) {
      atomicAdd(counts + expert, 1);
    }
  }
  __syncthreads();
#pragma unroll 1
  for (int e = threadIdx.x; e < Config::experts; e += Config::threads) {
    of.workspace[blockIdx.x * Config::experts + e] = counts[e];
    if constexpr (one_turn<Config>) {
      break;
    }
  }
}

/// What placing leaves in shared memory.
template <class Config>
struct Places {
  /// Rows of counts: of all blocks, of those before this one where there are several, of each warp.
  static constexpr int first_warp = Config::split ? 2 : 1;
  static constexpr int size = (first_warp + Config::threads / 32) * Config::experts;

  int counts[size];                  ///< the first row is the slots of each expert
  int runs[32];                      ///< where each run of 32 experts begins
  int offsets[Config::experts + 1];  ///< where each begins, and where the last ends
};

/// Calls store(slot, place) for every slot of the chunk, -1 being the place of those without an expert, and
/// ended(expert, place) for where each expert's places end, rounded up to a multiple of `Multiple`.
template <class Config, int Multiple, class Store, class Ended>
__device__ __forceinline__ void place_slots(const GroupingArgs& of, Places<Config>& places,
                                            const Store& store, const Ended& ended) {
  constexpr int experts = Config::experts;
  constexpr int warps = Config::threads / 32;
  __shared__ short held[held_slots];
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
#pragma unroll 1
  for (int i = threadIdx.x; i < Places<Config>::size + 32; i += Config::threads) {
    places.counts[i] = 0;
  }
  __syncthreads();

  const int chunk = chunk_of<Config>(of);
  const int chunk_first = blockIdx.x * chunk;
  const int first = warp * (chunk / warps);
  const int last = min(first + chunk / warps, of.slots - chunk_first);
  int* own = places.counts + (Places<Config>::first_warp + warp) * experts;
#pragma unroll 1
  for (int at = first + lane; at < last; at += 32) {
    const int expert = expert_of<Config>(of, chunk_first + at);
    held[at] = static_cast<short>(expert);
    if (expert >= 0) {
      atomicAdd(own + expert, 1);
    }
  }
  if constexpr (Config::split) {
#pragma unroll 1
    for (unsigned i = threadIdx.x; i < gridDim.x * experts; i += Config::threads) {
      // For now the first row is of this block and those after it.
      atomicAdd(places.counts + (i < blockIdx.x * experts ? experts : 0) + i % experts, of.workspace[i]);
    }
  }
  __syncthreads();

  // Each warp's row becomes the number of slots before its own.
#pragma unroll 1
  for (int base = warp * 32; base < experts; base += Config::threads) {
    const int e = base + lane;
    const bool has = experts % 32 == 0 || e < experts;
    int total = 0;
    if (has) {
      int before = Config::split ? places.counts[experts + e] : 0;
      total = Config::split ? places.counts[e] + before : 0;
#pragma unroll 1
      for (int i = e + Places<Config>::first_warp * experts; i < Places<Config>::size; i += experts) {
        const int count = places.counts[i];
        places.counts[i] = before;
        before += count;
      }
      total = Config::split ? total : before;
      places.counts[e] = total;
    }
    const int sum = warp_prefix_sum((total + Multiple - 1) / Multiple * Multiple);
    if (has) {
      places.offsets[e + 1] = sum;
    }
    // Each run of experts moves those after it.
    const int all = __shfl_sync(0xffffffffu, sum, 31);
    if (lane > base / 32) {
      atomicAdd(places.runs + lane, all);
    }
    if constexpr (one_turn<Config>) {
      break;
    }
  }
  if (threadIdx.x == 0) {
    places.offsets[0] = 0;
  }
  __syncthreads();
#pragma unroll 1
  for (int e = threadIdx.x; e < experts; e += Config::threads) {
    const int end = places.offsets[e + 1] + places.runs[e / 32];
    places.offsets[e + 1] = end;
    ended(e, end);
    if constexpr (one_turn<Config>) {
      break;
    }
  }
  __syncthreads();

#pragma unroll 1
  for (int base = first; base < last; base += 32) {
    const int at = base + lane;
    const int expert = at < last ? held[at] : -1;
    const Equals equal = equals_in_warp(expert);
    const int row = max(expert, 0);
    const int place = own[row] + equal.before;
    __syncwarp();
    if (expert >= 0 && equal.before == 0) {
      own[row] = place + equal.all;
    }
    __syncwarp();
    if (at < last) {
      store(chunk_first + at, expert >= 0 ? places.offsets[row] + place : -1);
    }
  }
}

}  // namespace kerncast
