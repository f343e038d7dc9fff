#pragma once

#include "device/decode_bytes.cuh"
#include "device/group_grid.cuh"
#include "quant/block_scaled.cuh"
#include "quant/dequant_args.h"

namespace kerncast::quant {

enum DequantScheme { per_tensor = 0, per_token = 1, per_group = 2, nvfp4 = 3, mxfp4 = 4, mxfp8 = 5 };

/// The scale of group `group` of row `row` in the layouts of store_scale().
template <int Layout, int Format>
__device__ __forceinline__ float load_scale(const void* scales, long long stride, long long row, int group) {
  if constexpr (Format == scale_packed_ue8m0) {
    return decode_ue8m0(
        static_cast<const unsigned char*>(scales)[(group / 4 * stride + row) * 4 + group % 4]);
  } else {
    return static_cast<const float*>(
        scales)[Layout == row_major ? row * stride + group : group * stride + row];
  }
}

/// y = q * s by vectors of y, in units of which one scale holds throughout.
template <class Config>
__global__ void __launch_bounds__(Config::threads) dequant_kernel(const DequantKernelArgs args) {
  using Y = typename Config::y_dtype;
  constexpr int scheme = Config::scheme;
  constexpr bool fp4 = scheme == nvfp4 || scheme == mxfp4;
  constexpr bool blocks = scheme >= nvfp4;
  using Q = typename Choose<fp4, e2m1x2, typename Config::q_dtype>::type;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(Y));
  constexpr int share = fp4 && width < 2 ? 2 : width;
  // The unit: a block, or a vector that finds its own scale.
  constexpr int unit = blocks ? (scheme == nvfp4 ? 16 : 32) : share;
  constexpr int units = Config::hidden / unit;
  constexpr int lanes = unit / share;
  constexpr int places = blocks && Config::sf_layout == sf_swizzled ? (units + 3) / 4 * 16 : units;
  using Grid = GroupGrid<places, Config::threads / lanes, Config::vectors>;

  Block found[Config::vectors];
  float values[Config::vectors][share];
  float scales[Config::vectors];
  const int first = threadIdx.x % lanes * share;
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    const GroupPlace place = Grid::place(threadIdx.x / lanes, i);
    if constexpr (blocks) {
      found[i] = locate<Config, 0, units>(args, place);
    } else {
      found[i].row = place.row;
      found[i].block = place.group;
      found[i].active = place.row < args.rows;
    }
    if (found[i].active) {
      const int column = found[i].block * unit + first;
      load_decoded<Q, share>(static_cast<const unsigned char*>(args.q) + found[i].row * args.q_stride +
                                 (fp4 ? column / 2 : column),
                             values[i]);
      if constexpr (blocks) {
        const unsigned bits = static_cast<const unsigned char*>(args.s)[found[i].sf];
        scales[i] = scheme == nvfp4 ? decode<fp8_e4m3>(bits) : decode_ue8m0(bits);
      } else if constexpr (scheme == per_group) {
        scales[i] = load_scale<Config::scale_layout, Config::scale_format>(
            args.s, args.sf_stride, found[i].row, column / Config::group);
      } else {
        scales[i] =
            static_cast<const float*>(args.s)[scheme == per_token ? found[i].row * args.sf_stride : 0];
      }
    }
  }
  float global_scale = 1.0f;
  float reciprocal = 1.0f;
  if constexpr (scheme == nvfp4) {
    global_scale = *args.global_scale;
    reciprocal = fast_reciprocal(global_scale);
  }
#pragma unroll
  for (int i = 0; i < Config::vectors; ++i) {
    if (found[i].active) {
      Y* y = static_cast<Y*>(args.y) + found[i].row * args.y_stride + (found[i].block * unit + first);
#pragma unroll
      for (int j = 0; j < share; ++j) {
        values[i][j] *= scales[i];
        if constexpr (scheme == nvfp4) {
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
