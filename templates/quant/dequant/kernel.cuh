#pragma once

#include "device/formats/decode_bytes.cuh"
#include "device/group_grid.cuh"
#include "device/programmatic_launch.cuh"
#include "quant/dequant/kernel_args.h"
#include "quant/dequant/public/dequant_scheme.h"
#include "quant/shared/block_scaled.cuh"

namespace kerncast::quant {

/// The scale of group `group` of row `row`, read from the layout that store_scale() writes.
template <ScaleLayout Layout, ScaleFormat Format>
__device__ __forceinline__ float load_scale(const void* scales, long long stride, long long row, int group) {
  if constexpr (Format == ScaleFormat::packed_ue8m0) {
    return decode_ue8m0(
        static_cast<const unsigned char*>(scales)[(group / 4 * stride + row) * 4 + group % 4]);
  } else {
    return static_cast<const float*>(
        scales)[Layout == ScaleLayout::row_major ? row * stride + group : group * stride + row];
  }
}

/// The scale of `unit` under the scheme of `Config`.
template <class Config>
__device__ __forceinline__ float scale_of_unit(const DequantKernelArgs& args, const Block& unit) {
  constexpr auto scheme = static_cast<DequantScheme>(Config::scheme);
  if constexpr (scheme == DequantScheme::per_token_group) {
    return load_scale<static_cast<ScaleLayout>(Config::scale_layout),
                      static_cast<ScaleFormat>(Config::scale_format)>(args.s, args.sf_stride, unit.row,
                                                                      unit.block);
  } else if constexpr (scheme >= DequantScheme::nvfp4) {
    const unsigned bits = static_cast<const unsigned char*>(args.s)[unit.sf];
    return scheme == DequantScheme::nvfp4 ? decode<fp8_e4m3>(bits) : decode_ue8m0(bits);
  } else {
    return static_cast<const float*>(
        args.s)[scheme == DequantScheme::per_token ? unit.row * args.sf_stride : 0];
  }
}

/// Computes y = q * s by units of values that share a scale: groups or blocks, or single vectors under the
/// schemes with fewer scales. A block of threads gathers the scales of its groups or blocks first, so that
/// whole sectors are read.
template <class Config>
__global__ void __launch_bounds__(Config::threads) dequant_kernel(const DequantKernelArgs args) {
  begin_kernel();
  using Y = typename Config::y_dtype;
  constexpr auto scheme = static_cast<DequantScheme>(Config::scheme);
  constexpr bool fp4 = scheme == DequantScheme::nvfp4 || scheme == DequantScheme::mxfp4;
  constexpr bool blocks = scheme >= DequantScheme::nvfp4;
  constexpr bool gathers = scheme >= DequantScheme::per_token_group;
  using Q = typename Choose<fp4, e2m1x2, typename Config::q_dtype>::type;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(Y));
  constexpr int share = fp4 && width < 2 ? 2 : width;
  constexpr int unit = scheme == DequantScheme::nvfp4             ? 16
                       : blocks                                   ? 32
                       : scheme == DequantScheme::per_token_group ? Config::group
                                                                  : share;
  constexpr int units = Config::hidden / unit;
  constexpr int lanes = unit / share;
  constexpr int slots = Config::threads / lanes;
  using Grid = GroupGrid<(blocks ? places_of<static_cast<SfLayout>(Config::sf_layout)>(units) : units), slots,
                         Config::vectors>;

  const auto find = [&](unsigned slot, unsigned turn) {
    const GroupPlace place = Grid::place(slot, turn);
    if constexpr (blocks) {
      return locate<Config, 0, units>(args, place);
    } else {
      return Block{place.row, 0, place.group, 0, place.row < args.rows};
    }
  };
  Block found[Config::vectors];
  float values[Config::vectors][share];
  float scales[Config::vectors];
  const int slot = threadIdx.x / lanes;
  const int first = threadIdx.x % lanes * share;
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    found[i] = find(slot, i);
    if (found[i].active) {
      const int column = found[i].block * unit + first;
      load_decoded<Q, share>(static_cast<const unsigned char*>(args.q) + found[i].row * args.q_stride +
                                 (fp4 ? column / 2 : column),
                             values[i]);
      if constexpr (!gathers) {
        scales[i] = scale_of_unit<Config>(args, found[i]);
      }
    }
  }
  float global_scale = 1.0f;
  float reciprocal = 1.0f;
  float lift = 1.0f;
  if constexpr (gathers) {
    __shared__ float gathered[slots * Config::vectors];
#pragma unroll
    for (int i = threadIdx.x; i < slots * Config::vectors; i += Config::threads) {
      const Block own = find(i, 0);
      if (own.active) {
        gathered[i] = scale_of_unit<Config>(args, own);
      }
    }
    if constexpr (scheme == DequantScheme::nvfp4) {
      global_scale = broadcast(args.global_scale);
      // The reciprocal of a subnormal number may overflow.
      lift = fabsf(global_scale) < 0x1p-100f ? 0x1p100f : 1.0f;
      global_scale *= lift;
      reciprocal = fast_reciprocal(global_scale);
    } else {
      __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < Config::vectors; ++i) {
      scales[i] = found[i].active ? gathered[i * slots + slot] * lift : 0.0f;
    }
  }
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    if (found[i].active) {
      Y* y = static_cast<Y*>(args.y) + found[i].row * args.y_stride + (found[i].block * unit + first);
#pragma unroll
      for (int j = 0; j < share; ++j) {
        values[i][j] *= scales[i];
        if constexpr (scheme == DequantScheme::nvfp4) {
          values[i][j] = quotient(values[i][j], global_scale, reciprocal);
        }
      }
#pragma unroll
      for (int j = 0; j < share; j += width) {
        store_values<Y, width>(y + j, values[i] + j);
      }
    }
  }
}

}  // namespace kerncast::quant
