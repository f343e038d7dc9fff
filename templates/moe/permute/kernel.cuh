#pragma once

#include "device/grouping.cuh"
#include "device/index.cuh"
#include "device/programmatic_launch.cuh"
#include "device/types.cuh"
#include "device/vector_type.cuh"
#include "moe/permute/kernel_args.h"

namespace kerncast::moe {

/// The blocks that find the places of the slots.
template <class Config>
inline constexpr Placing placing_of = static_cast<Placing>(Config::placing);

/// The configuration that device/grouping.cuh needs.
template <class Config>
struct GroupingOf : Config {
  static constexpr int threads = Config::grouping_threads;
  static constexpr bool split = placing_of<Config> == Placing::split;
  static constexpr bool has_expert_map = false;
};

/// The element of map that belongs to a slot.
template <class Config>
__device__ __forceinline__ int* map_of(const PermuteKernelArgs& args, unsigned slot) {
  return args.map + slot / Config::top_k * args.map_stride + slot % Config::top_k;
}

template <class Config>
__global__ void __launch_bounds__(Config::grouping_threads)
    permute_count_kernel(const PermuteKernelArgs args) {
  begin_kernel();
  if constexpr (placing_of<Config> == Placing::split) {
    count_slots<GroupingOf<Config>>(args.grouping);
  }
}

template <class Config>
__global__ void __launch_bounds__(Config::grouping_threads)
    permute_place_kernel(const PermuteKernelArgs args) {
  begin_kernel();
  if constexpr (placing_of<Config> != Placing::direct) {
    __shared__ Places<GroupingOf<Config>> places;
    place_slots<GroupingOf<Config>, 1>(
        args.grouping, places, [&](int slot, int place) { *map_of<Config>(args, slot) = place; },
        [&](int e, int end) {
          if (blockIdx.x == 0) {
            args.offsets[e + 1] = end;
            if (e == 0) {
              args.offsets[0] = 0;
            }
          }
        });
  }
}

/// Finds the places of the block's slots from all ids. A slot's place is the number of slots that have a
/// lower expert, or the same expert and a lower slot.
template <class Config>
__device__ __forceinline__ void place_directly(const PermuteKernelArgs& args, long long block, int first,
                                               int* places) {
  __shared__ int keys[direct_slots];
  const int slots = args.grouping.slots;
  const int lane = threadIdx.x % 32;
#pragma unroll 1
  for (int i = threadIdx.x; i < slots; i += Config::threads) {
    const int expert = expert_of<GroupingOf<Config>>(args.grouping, i);
    keys[i] = expert >= 0 ? expert * direct_slots + i : 0x7fffffff;
  }
  __syncthreads();
#pragma unroll 1
  for (int i = threadIdx.x / 32; i < Config::rows_per_block * Config::top_k; i += Config::threads / 32) {
    const int slot = first * Config::top_k + i;
    if (slot < slots) {
      const int key = keys[slot];
      int place = 0;
#pragma unroll 1
      for (int j = 0; j < slots; j += 32) {
        place += __popc(__ballot_sync(0xffffffffu, j + lane < slots && keys[j + lane] < key));
      }
      place = key == 0x7fffffff ? -1 : place;
      if (lane == 0) {
        places[i] = place;
        if (block % Config::blocks_per_row == 0) {
          *map_of<Config>(args, slot) = place;
        }
      }
    }
  }
  if (block == 0) {
#pragma unroll 1
    for (int e = threadIdx.x; e <= Config::experts; e += Config::threads) {
      int before = 0;
#pragma unroll 1
      for (int j = 0; j < slots; ++j) {
        before += keys[j] < e * direct_slots ? 1 : 0;
      }
      args.offsets[e] = before;
    }
  }
}

/// Copies each token's row, which is read once, to the places of its slots. Threads share rows as in
/// moe/shared/weighted_sum.cuh.
template <class Config>
__global__ void __launch_bounds__(Config::threads) permute_kernel(const PermuteKernelArgs args) {
  begin_kernel();
  using X = typename Config::x_dtype;
  using S = typename Config::scale_dtype;
  using Vector = typename VectorType<Config::alignment>::type;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  constexpr int vectors = Config::hidden / width;
  constexpr int lanes = Config::threads / Config::rows_per_block;
  constexpr int slots = Config::top_k;

  const long long block = linear_block();
  const long long first = block / Config::blocks_per_row * Config::rows_per_block;
  const int at = threadIdx.x / lanes;
  const long long token = first + at;

  // The threads of a token need its places for every vector; from the map they are read once.
  __shared__ int places[Config::rows_per_block * slots];
  if constexpr (placing_of<Config> == Placing::direct) {
    place_directly<Config>(args, block, static_cast<int>(first), places);
  } else {
#pragma unroll 1
    for (int k = threadIdx.x % lanes; k < slots && token < args.rows; k += lanes) {
      places[at * slots + k] = args.map[token * args.map_stride + k];
      if constexpr (slots <= lanes) {
        break;
      }
    }
  }
  __syncthreads();
  if (token >= args.rows) {
    return;
  }

  const int* rows = places + at * slots;
  const int begin = threadIdx.x % lanes + static_cast<int>(block % Config::blocks_per_row) * lanes;
  const X* x = static_cast<const X*>(args.x) + token * args.x_stride;
  const S* scales = static_cast<const S*>(args.scales) + token * args.scales_stride;
  const int columns = Config::has_scales ? args.scale_columns : 0;
  // One loop over the places stores both vectors and scales.
#pragma unroll 1
  for (int i = begin; i < max(vectors, columns); i += lanes * Config::blocks_per_row) {
    const bool has_vector = !Config::has_scales || i < vectors;
    const bool has_scale = i < columns;
    // With assignments, the compiler would repeat the load for every place, or split the stores.
    Vector part;
    if (has_vector) {
      part = __ldca(reinterpret_cast<const Vector*>(x + i * width));
    }
    S scale;
    if (has_scale) {
      scale = scales[i * args.scales_column_stride];
    }
#pragma unroll 1
    for (int k = 0; k < slots; ++k) {
      const long long row = rows[k];
      if (row >= 0) {
        if (has_vector) {
          __stwb(reinterpret_cast<Vector*>(static_cast<X*>(args.y) + row * args.y_stride + i * width), part);
        }
        if (has_scale) {
          static_cast<S*>(args.y_scales)[row * args.y_scales_stride + i * args.y_scales_column_stride] =
              scale;
        }
      }
    }
  }
}

}  // namespace kerncast::moe
