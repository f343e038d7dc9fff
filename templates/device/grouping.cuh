#pragma once

#include "device/grouping_args.h"
#include "device/scan.cuh"

/// Stable grouping of slots by expert: within an expert, slots keep their order. Config names experts, top_k,
/// has_expert_map, threads and split: whether several blocks count first. A block takes the slots of a chunk,
/// a warp those of a part of it.
namespace kerncast {

/// Slots whose experts a block remembers between its two passes.
inline constexpr int held_slots = 4096;

/// The expert of a slot, -1 if it has none.
template <class Config>
__device__ __forceinline__ int expert_of(const GroupingArgs& of, int slot) {
  int id = of.ids[slot / Config::top_k * of.ids_stride + slot % Config::top_k];
  if constexpr (Config::has_expert_map) {
    id = id >= 0 && id < of.map_size ? of.expert_map[id] : -1;
  }
  return id >= 0 && id < Config::experts ? id : -1;
}

/// Slots of a block, a multiple of its threads.
template <class Config>
__device__ __forceinline__ int chunk_of(const GroupingArgs& of) {
  const unsigned threads = gridDim.x * Config::threads;
  return static_cast<int>((static_cast<unsigned>(of.slots) + threads - 1) / threads * Config::threads);
}

/// Counts a chunk's slots into the workspace.
template <class Config>
__device__ __forceinline__ void count_slots(const GroupingArgs& of) {
  __shared__ int counts[Config::experts];
#pragma unroll 1
  for (int e = threadIdx.x; e < Config::experts; e += Config::threads) {
    counts[e] = 0;
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
  }
}

/// What placing leaves in shared memory.
template <class Config>
struct Places {
  int counts[Config::experts];       ///< slots of each expert
  int offsets[Config::experts + 1];  ///< where each begins, and where the last ends
};

/// Calls store(slot, place) for every slot of the chunk, -1 being the place of those without an expert. Each
/// expert's places are rounded up to a multiple of `Multiple`.
template <class Config, int Multiple, class Store>
__device__ __forceinline__ void place_slots(const GroupingArgs& of, Places<Config>& places,
                                            const Store& store) {
  constexpr int experts = Config::experts;
  constexpr int warps = Config::threads / 32;
  __shared__ int shared_counts[warps * experts];
  __shared__ short held[held_slots];
  const int lane = threadIdx.x % 32;
  int* counts = shared_counts + threadIdx.x / 32 * experts;
#pragma unroll 1
  for (int i = threadIdx.x; i < warps * experts; i += Config::threads) {
    shared_counts[i] = 0;
  }
  __syncthreads();

  const int chunk = chunk_of<Config>(of);
  const int chunk_first = blockIdx.x * chunk;
  const int first = chunk_first + static_cast<int>(threadIdx.x / 32) * (chunk / warps);
  const int last = min(first + chunk / warps, of.slots);
  const bool holds = chunk <= held_slots;
#pragma unroll 1
  for (int slot = first + lane; slot < last; slot += 32) {
    const int expert = expert_of<Config>(of, slot);
    if (holds) {
      held[slot - chunk_first] = static_cast<short>(expert);
    }
    if (expert >= 0) {
      atomicAdd(counts + expert, 1);
    }
  }
  __syncthreads();

  // A warp's counts become the number of slots before its own.
#pragma unroll 1
  for (int e = threadIdx.x; e < experts; e += Config::threads) {
    int before = 0;
    int total = 0;
    if constexpr (Config::split) {
      for (int block = 0; block < gridDim.x; ++block) {
        const int count = of.workspace[block * experts + e];
        before += block < blockIdx.x ? count : 0;
        total += count;
      }
    }
#pragma unroll 4
    for (int warp = 0; warp < warps; ++warp) {
      const int count = shared_counts[warp * experts + e];
      shared_counts[warp * experts + e] = before;
      before += count;
    }
    total = Config::split ? total : before;
    places.counts[e] = total;
    places.offsets[e] = (total + Multiple - 1) / Multiple * Multiple;
  }
  prefix_sums<experts, Config::threads>(places.offsets);

#pragma unroll 1
  for (int base = first; base < last; base += 32) {
    const int slot = base + lane;
    int expert = -1;
    if (slot < last) {
      expert = holds ? held[slot - chunk_first] : expert_of<Config>(of, slot);
    }
    const unsigned equal = __match_any_sync(0xffffffffu, expert);
    const int rank = __popc(equal & ((1u << lane) - 1));
    const int before = expert >= 0 ? counts[expert] : 0;
    __syncwarp();
    if (expert >= 0 && rank == 0) {
      counts[expert] = before + __popc(equal);
    }
    __syncwarp();
    if (slot < last) {
      store(slot, expert >= 0 ? places.offsets[expert] + before + rank : -1);
    }
  }
}

}  // namespace kerncast
