#pragma once

#include "device/block_scale.cuh"
#include "device/e2m1.cuh"
#include "device/group_grid.cuh"
#include "quant/shared/block_scaled_args.h"

namespace kerncast::quant {

/// The expert that row `row` belongs to, or -1: the last of `Experts` experts whose offset is at most `row`.
template <int Experts>
__device__ __forceinline__ int expert_of(const int* offsets, long long row) {
  int low = -1;
  int high = Experts;
#pragma unroll 1
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (offsets[middle] <= row) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low >= 0 && row < offsets[low + 1] ? low : -1;
}

/// Position of a block of values and of its scale.
struct Block {
  long long row;  ///< row of x and q
  long long sf;   ///< offset of the scale in sf; negative if there is no scale to write
  int block;
  int expert;
  bool active;  ///< false: padding, whose scale is 0
};

/// Finds the block at `place`. In the swizzled layout 32 consecutive places cover 4 blocks of each of 8 rows:
/// m and m + 1 in four groups of 32 rows. Their scales fill a sector of memory.
template <class Config, int Experts, int Blocks, class Args>
__device__ __forceinline__ Block locate(const Args& args, const GroupPlace& place) {
  constexpr int padded = (Blocks + 3) / 4 * 4;
  Block found{};
  if constexpr (Config::sf_layout == static_cast<int>(SfLayout::swizzled)) {
    const long long m =
        place.row / 16 * 128 + place.row % 16 * 2 + place.group % 32 / 16 + place.group % 16 / 4 * 32;
    found.block = place.group / 32 * 4 + place.group % 4;
    found.row = m;
    found.sf = m < args.sf_rows ? swizzled_offset<padded>(m, found.block) : -1;
    found.active = found.block < Blocks && m < args.sf_rows;
    if constexpr (Experts > 0) {
      found.expert = expert_of<Experts>(args.sf_offsets, m);
      if (found.expert >= 0) {
        found.row = m - args.sf_offsets[found.expert] + args.expert_offsets[found.expert];
        // Offsets out of order may even be negative.
        found.active = found.active && found.row >= 0 && found.row < args.expert_offsets[found.expert + 1];
      } else {
        found.active = false;
      }
    }
    found.active = found.active && found.row < args.rows;
  } else {
    found.block = place.group;
    found.row = place.row;
    found.active = place.row < args.rows;
    if constexpr (Experts > 0) {
      found.expert = expert_of<Experts>(args.expert_offsets, place.row);
      found.active = found.active && found.expert >= 0;
    }
    found.sf = found.active ? place.row * args.sf_stride + place.group : -1;
  }
  return found;
}

/// Number of places that locate() counts for a row of `blocks` blocks.
template <SfLayout Layout>
constexpr int places_of(int blocks) {
  return Layout == SfLayout::swizzled ? (blocks + 3) / 4 * 32 : blocks;
}

/// Quantises blocks of Format::block values. Up to 32 lanes share a block, and a thread has parts of
/// `vectors` blocks in flight. The scales go through shared memory, so that whole sectors are written.
template <class Config, class Format, int Experts = 0>
__device__ __forceinline__ void quantise_blocks(const BlockScaledKernelArgs& args) {
  using X = typename Config::x_dtype;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  constexpr int share = Format::fp4 && width < 2 ? 2 : width;
  constexpr int lanes = Format::block / share;
  constexpr int blocks = Config::hidden / Format::block;
  constexpr int slots = Config::threads / lanes;
  using Grid = GroupGrid<places_of<static_cast<SfLayout>(Config::sf_layout)>(blocks), slots, Config::vectors>;
  __shared__ unsigned char scales[slots * Config::vectors];
  __shared__ long long offsets[slots * Config::vectors];

  Block found[Config::vectors];
  using Part = typename VectorType<Config::alignment>::type;
  Part loaded[Config::vectors][share / width];
  const int slot = threadIdx.x / lanes;
  const int first = threadIdx.x % lanes * share;
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    found[i] = locate<Config, Experts, blocks>(args, Grid::place(slot, i));
#pragma unroll
    for (int j = 0; j < share / width; ++j) {
      loaded[i][j] = Part{};
    }
    if (found[i].active) {
      const X* x = static_cast<const X*>(args.x) + found[i].row * args.x_stride +
                   found[i].block * Format::block + first;
#pragma unroll
      for (int j = 0; j < share / width; ++j) {
        loaded[i][j] = reinterpret_cast<const Part*>(x)[j];
      }
    }
  }
  float global_scale = 1.0f;
  if constexpr (Format::global && Experts == 0) {
    global_scale = broadcast(args.global_scale);
  }
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    float values[share];
#pragma unroll
    for (int j = 0; j < share / width; ++j) {
      unpack<X>(loaded[i][j], values + j * width);
    }
    const Max amax = reduce_lanes<lanes>(largest_magnitude<share>(values));
    if constexpr (Experts > 0) {
      global_scale = args.global_scale[found[i].active ? found[i].expert : 0];
    }
    const Scale scale = Format::scale(amax.value, global_scale);
    if (found[i].active) {
      const long long element = found[i].block * Format::block + first;
      if constexpr (Format::fp4) {
        if (Format::global && fabsf(global_scale) > large_global_scale) {
#pragma unroll
          for (int j = 0; j < share; ++j) {
            values[j] *= large_global_scale;
          }
        }
#pragma unroll
        for (int j = 0; j < share; ++j) {
          values[j] *= scale.factor;
        }
        store_e2m1<share>(static_cast<unsigned char*>(args.q) + found[i].row * args.q_stride + element / 2,
                          values);
      } else {
        using Q = typename Format::Q;
        store_quantised<Q, share, width>(static_cast<Q*>(args.q) + found[i].row * args.q_stride + element,
                                         values, scale.factor);
      }
    }
    if (first == 0) {
      scales[i * slots + slot] = static_cast<unsigned char>(found[i].active ? scale.bits : 0u);
      offsets[i * slots + slot] = found[i].sf;
    }
  }
  __syncthreads();
#pragma unroll
  for (int i = threadIdx.x; i < slots * Config::vectors; i += Config::threads) {
    if (offsets[i] >= 0) {
      args.sf[offsets[i]] = scales[i];
    }
  }
}

}  // namespace kerncast::quant
