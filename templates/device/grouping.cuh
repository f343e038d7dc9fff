#pragma once

#include "device/grouping_args.h"
#include "device/scan.cuh"

/// Stable grouping of slots by expert: within an expert, slots keep their order. Config names experts, top_k,
/// has_expert_map, threads and split (true if several blocks share the slots and count them first). A block
/// takes the slots of a chunk, and each of its warps a part of the chunk.
namespace kerncast {

/// True if every expert has its own thread. A loop over experts then runs once, and saying so at compile time
/// shortens the generated code.
template <class Config>
inline constexpr bool thread_per_expert = Config::experts <= Config::threads;

/// The expert of a slot, or -1 if the slot has none.
template <class Config>
__device__ __forceinline__ int expert_of(const GroupingArgs& of, int slot) {
  // Unsigned divisions by constants are shorter.
  const auto at = static_cast<unsigned>(slot);
  const int* address = of.ids + at;
  if (of.ids_stride != Config::top_k) {
    address = of.ids + (at / Config::top_k * of.ids_stride + at % Config::top_k);
  }
  int id = *address;
  if constexpr (Config::has_expert_map) {
    id = id >= 0 && id < of.map_size ? of.expert_map[id] : -1;
  }
  return id >= 0 && id < Config::experts ? id : -1;
}

/// Slots of a block, a multiple of its threads: all slots, or block_slots if several blocks share them.
template <class Config>
__device__ __forceinline__ int chunk_of(const GroupingArgs& of) {
  return Config::split ? block_slots : (of.slots + Config::threads - 1) / Config::threads * Config::threads;
}

/// Counts the slots of each expert in the block's chunk and stores the counts in the workspace.
template <class Config>
__device__ __forceinline__ void count_slots(const GroupingArgs& of) {
  __shared__ int counts[Config::experts];
#pragma unroll 1
  for (int e = threadIdx.x; e < Config::experts; e += Config::threads) {
    counts[e] = 0;
    if constexpr (thread_per_expert<Config>) {
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
    if constexpr (thread_per_expert<Config>) {
      break;
    }
  }
}

/// The shared memory in which a block finds the places of its slots.
template <class Config>
struct Places {
  /// Row of `counts` that belongs to the first warp. Row 0 has the slots of all blocks. If several blocks
  /// share the slots, row 1 has the slots of the blocks before this one.
  static constexpr int first_warp = Config::split ? 2 : 1;
  static constexpr int size = (first_warp + Config::threads / 32) * Config::experts;

  int counts[size];                  ///< rows of one count per expert; after placing, row 0 has the totals
  int runs[32];                      ///< the first place of each run of 32 experts
  int offsets[Config::experts + 1];  ///< the first place of each expert, then the end of the last one
};

/// The slots of one warp, as positions in the chunk of its block.
struct WarpSlots {
  int chunk_first;  ///< the first slot of the chunk
  int first;
  int last;  ///< exclusive
  int row;   ///< where the warp's row of Places::counts begins
};

/// Clears the counts and the runs, which follow them.
template <class Config>
__device__ __forceinline__ void clear_counts(Places<Config>& places) {
#pragma unroll 1
  for (int i = threadIdx.x; i < Places<Config>::size + 32; i += Config::threads) {
    places.counts[i] = 0;
  }
}

template <class Config>
__device__ __forceinline__ WarpSlots slots_of_warp(const GroupingArgs& of) {
  constexpr int warps = Config::threads / 32;
  const int warp = threadIdx.x / 32;
  const int chunk = chunk_of<Config>(of);
  const int chunk_first = blockIdx.x * chunk;
  const int first = warp * (chunk / warps);
  int row = (Places<Config>::first_warp + warp) * Config::experts;
  // The compiler would compute it again for every slot.
  asm("" : "+r"(row));
  return {chunk_first, first, min(first + chunk / warps, of.slots - chunk_first), row};
}

/// Counts each warp's slots by expert and keeps their experts in `held`. If several blocks share the slots,
/// also sums up what all blocks counted into the workspace.
template <class Config>
__device__ __forceinline__ void count_by_warp(const GroupingArgs& of, Places<Config>& places,
                                              const WarpSlots& mine, short* held) {
  constexpr int experts = Config::experts;
#pragma unroll 1
  for (int at = mine.first + static_cast<int>(threadIdx.x % 32); at < mine.last; at += 32) {
    const int expert = expert_of<Config>(of, mine.chunk_first + at);
    held[at] = static_cast<short>(expert);
    if (expert >= 0) {
      atomicAdd(places.counts + (mine.row + expert), 1);
    }
  }
  if constexpr (Config::split) {
#pragma unroll 1
    for (unsigned i = threadIdx.x; i < gridDim.x * experts; i += Config::threads) {
      // Until sum_counts(), row 0 has only this block and those after it.
      atomicAdd(places.counts + (i < blockIdx.x * experts ? experts : 0) + i % experts, of.workspace[i]);
    }
  }
}

/// Turns each warp's count of an expert into the number of the expert's slots before the warp, and row 0 into
/// the totals. Writes the end of each expert's places, relative to its run of 32 experts, and the runs'
/// starts.
template <class Config, int Multiple>
__device__ __forceinline__ void sum_counts(Places<Config>& places) {
  constexpr int experts = Config::experts;
  const int lane = threadIdx.x % 32;
#pragma unroll 1
  for (int base = static_cast<int>(threadIdx.x / 32) * 32; base < experts; base += Config::threads) {
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
    // The places of this run of experts come before those of all later runs.
    const int all = __shfl_sync(0xffffffffu, sum, 31);
    if (lane > base / 32) {
      atomicAdd(places.runs + lane, all);
    }
    if constexpr (thread_per_expert<Config>) {
      break;
    }
  }
  if (threadIdx.x == 0) {
    places.offsets[0] = 0;
  }
}

/// Adds the starts of the runs to the offsets and reports each expert's end.
template <class Config, class Ended>
__device__ __forceinline__ void finish_offsets(Places<Config>& places, const Ended& ended) {
#pragma unroll 1
  for (int e = threadIdx.x; e < Config::experts; e += Config::threads) {
    const int end = places.offsets[e + 1] + places.runs[e / 32];
    places.offsets[e + 1] = end;
    ended(e, end);
    if constexpr (thread_per_expert<Config>) {
      break;
    }
  }
}

/// Reports the place of each of the warp's slots, in order: 32 slots at a time, each after the slots of its
/// expert in lower lanes.
template <class Config, class Store>
__device__ __forceinline__ void store_places(Places<Config>& places, const WarpSlots& mine, const short* held,
                                             const Store& store) {
  const int lane = threadIdx.x % 32;
#pragma unroll 1
  for (int base = mine.first; base < mine.last; base += 32) {
    const int at = base + lane;
    const int expert = at < mine.last ? held[at] : -1;
    const Equals equal = equals_in_warp(expert);
    const int row = max(expert, 0);
    int& next = places.counts[mine.row + row];
    const int place = next + equal.before;
    __syncwarp();
    if (expert >= 0 && equal.before == 0) {
      next = place + equal.all;
    }
    __syncwarp();
    if (at < mine.last) {
      store(mine.chunk_first + at, expert >= 0 ? places.offsets[row] + place : -1);
    }
  }
}

/// Calls store(slot, place) for every slot of the chunk; the place is -1 if the slot has no expert. Calls
/// ended(expert, place) with the end of each expert's places, rounded up to a multiple of `Multiple`.
template <class Config, int Multiple, class Store, class Ended>
__device__ __forceinline__ void place_slots(const GroupingArgs& of, Places<Config>& places,
                                            const Store& store, const Ended& ended) {
  __shared__ short held[block_slots];
  clear_counts(places);
  __syncthreads();
  const WarpSlots mine = slots_of_warp<Config>(of);
  count_by_warp<Config>(of, places, mine, held);
  __syncthreads();
  sum_counts<Config, Multiple>(places);
  __syncthreads();
  finish_offsets(places, ended);
  __syncthreads();
  store_places(places, mine, held, store);
}

}  // namespace kerncast
