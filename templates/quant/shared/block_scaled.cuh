#pragma once

#include "device/formats/e2m1.cuh"
#include "device/group_grid.cuh"
#include "device/quantisation/block_scale.cuh"
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
  long long sf;   ///< offset of the scale in sf
  int block;
  int expert;
  bool active;  ///< false: padding, whose scale is 0
  bool stored;  ///< false: there is no scale to write
};

/// Finds the block at `place`. In the swizzled layout 32 consecutive places cover 4 blocks of each of 8 rows:
/// m and m + 1 in four groups of 32 rows. Their scales fill a sector of memory.
template <class Config, int Experts, int Blocks, class Args>
__device__ __forceinline__ Block locate(const Args& args, const GroupPlace& place) {
  constexpr int padded = (Blocks + 3) / 4 * 4;
  Block found{};
  if constexpr (Config::sf_layout == static_cast<int>(SfLayout::swizzled)) {
    const auto tile = static_cast<long long>(static_cast<unsigned long long>(place.row) / 16);
    const auto group = static_cast<unsigned>(place.group);
    const unsigned within = static_cast<unsigned>(place.row) % 16 * 2 + group % 32 / 16 + group % 16 / 4 * 32;
    const long long m = tile * 128 + within;
    found.block = static_cast<int>(group / 32 * 4 + group % 4);
    found.row = m;
    found.sf = tile * (padded * 128) + swizzled_within(within, static_cast<unsigned>(found.block));
    found.active = found.block < Blocks && m < args.sf_rows;
    found.stored = m < args.sf_rows;
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
    found.stored = found.active;
    found.sf = place.row * args.sf_stride + place.group;
  }
  return found;
}

/// Number of places that locate() counts for a row of `blocks` blocks.
template <SfLayout Layout>
constexpr int places_of(int blocks) {
  return Layout == SfLayout::swizzled ? (blocks + 3) / 4 * 32 : blocks;
}

/// Quantises blocks of Format::block values. Up to 32 lanes share a block, and a thread has parts of
/// `vectors` blocks in flight. The scales of a warp fill whole sectors: if its lanes have blocks enough, each
/// stores a scale of one of them, else the scales go through shared memory.
template <class Config, class Format, int Experts = 0>
__device__ __forceinline__ void quantise_blocks(const BlockScaledKernelArgs& args) {
  using X = typename Config::x_dtype;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  constexpr int share = Format::fp4 && width < 2 ? 2 : width;
  constexpr int lanes = Format::block / share;
  constexpr int blocks = Config::hidden / Format::block;
  constexpr int slots = Config::threads / lanes;
  constexpr int vectors = Config::vectors;
  constexpr bool whole_warps = vectors >= lanes;
  using Grid = GroupGrid<places_of<static_cast<SfLayout>(Config::sf_layout)>(blocks), slots * vectors, 1>;

  Block found[vectors];
  using Part = typename VectorType<Config::alignment>::type;
  Part loaded[vectors][share / width];
  const unsigned slot = threadIdx.x / lanes;
  const unsigned own = threadIdx.x % lanes;
  const unsigned first = own * share;
  // The place of the thread's first block in its thread block, and the distance to the next one.
  constexpr int step = whole_warps ? 32 / lanes : slots;
  const unsigned start = whole_warps ? threadIdx.x / 32 * (32 / lanes * vectors) + slot % (32 / lanes) : slot;
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    found[i] = locate<Config, Experts, blocks>(args, Grid::place(start + i * step, 0));
#pragma unroll
    for (int j = 0; j < share / width; ++j) {
      loaded[i][j] = Part{};
    }
    if (found[i].active) {
      const X* x = static_cast<const X*>(args.x) + found[i].row * args.x_stride +
                   (found[i].block * Format::block + first);
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
  unsigned scales[vectors];
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    float values[share];
#pragma unroll
    for (int j = 0; j < share / width; ++j) {
      unpack<X>(loaded[i][j], values + j * width);
    }
    const Max amax = reduce_lanes<lanes>(largest_magnitude<share>(values));
    if constexpr (Experts > 0) {
      global_scale = args.global_scale[found[i].active ? found[i].expert : 0];
    }
    const Scale scale = Format::template scale<share>(amax.value, global_scale, values);
    scales[i] = found[i].active ? scale.bits : 0u;
    if (found[i].active) {
      const unsigned element = found[i].block * Format::block + first;
      if constexpr (Format::fp4) {
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
  }
  if constexpr (whole_warps) {
#pragma unroll
    for (int i = 0; i < vectors; i += lanes) {
      unsigned bits = scales[i];
      long long sf = found[i].sf;
      bool stored = found[i].stored;
#pragma unroll
      for (int j = 1; j < lanes; ++j) {
        bits = own == j ? scales[i + j] : bits;
        sf = own == j ? found[i + j].sf : sf;
        stored = own == j ? found[i + j].stored : stored;
      }
      if (stored) {
        args.sf[sf] = static_cast<unsigned char>(bits);
      }
    }
  } else {
    __shared__ unsigned char gathered[slots * vectors];
    __shared__ long long offsets[slots * vectors];
#pragma unroll
    for (int i = 0; i < vectors; ++i) {
      if (own == 0) {
        gathered[i * slots + slot] = static_cast<unsigned char>(scales[i]);
        offsets[i * slots + slot] = found[i].stored ? found[i].sf : -1;
      }
    }
    __syncthreads();
#pragma unroll
    for (int i = threadIdx.x; i < slots * vectors; i += Config::threads) {
      if (offsets[i] >= 0) {
        args.sf[offsets[i]] = gathered[i];
      }
    }
  }
}

}  // namespace kerncast::quant
