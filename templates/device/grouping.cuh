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
  // First what other blocks have before this one's slots, then what each warp has.
  __shared__ int counts[(warps + 1) * experts];
  __shared__ short held[held_slots];
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
#pragma unroll 1
  for (int i = threadIdx.x; i < (warps + 1) * experts; i += Config::threads) {
    counts[i] = 0;
    if (i < experts) {
      places.counts[i] = 0;
    }
  }
  __syncthreads();

  const int chunk = chunk_of<Config>(of);
  const int chunk_first = blockIdx.x * chunk;
  const int first = chunk_first + warp * (chunk / warps);
  const int last = min(first + chunk / warps, of.slots);
#pragma unroll 1
  for (int slot = first + lane; slot < last; slot += 32) {
    const int expert = expert_of<Config>(of, slot);
    held[slot - chunk_first] = static_cast<short>(expert);
    if (expert >= 0) {
      atomicAdd(counts + (warp + 1) * experts + expert, 1);
    }
  }
  if constexpr (Config::split) {
#pragma unroll 1
    for (unsigned i = threadIdx.x; i < gridDim.x * experts; i += Config::threads) {
      const int count = of.workspace[i];
      atomicAdd(places.counts + i % experts, count);
      if (i < blockIdx.x * experts) {
        atomicAdd(counts + i % experts, count);
      }
    }
  }
  __syncthreads();

  // Each row becomes the number of slots before those of a warp.
#pragma unroll 1
  for (int e = threadIdx.x; e < experts; e += Config::threads) {
    int before = 0;
#pragma unroll 1
    for (int i = e; i < (warps + 1) * experts; i += experts) {
      before += counts[i];
      counts[i] = before;
    }
    const int total = Config::split ? places.counts[e] : before;
    places.counts[e] = total;
    places.offsets[e] = (total + Multiple - 1) / Multiple * Multiple;
    if constexpr (one_turn<Config>) {
      break;
    }
  }
  __syncthreads();
  if (warp == 0) {
    prefix_sums<experts>(places.offsets, lane);
  }
  __syncthreads();

  int* own = counts + warp * experts;
#pragma unroll 1
  for (int base = first; base < last; base += 32) {
    const int slot = base + lane;
    const int expert = slot < last ? held[slot - chunk_first] : -1;
    const unsigned equal = __match_any_sync(0xffffffffu, expert);
    const int rank = __popc(equal & ((1u << lane) - 1));
    const int row = max(expert, 0);
    const int place = own[row] + rank;
    __syncwarp();
    if (expert >= 0 && rank == 0) {
      own[row] = place + __popc(equal);
    }
    __syncwarp();
    if (slot < last) {
      store(slot, expert >= 0 ? places.offsets[row] + place : -1);
    }
  }
}

}  // namespace kerncast
