#pragma once

#include "device/group_grid.cuh"
#include "device/quantisation/quantise.cuh"
#include "device/quantisation/quantise_block.cuh"
#include "device/row.cuh"
#include "norm/rms_norm_quant/kernel_args.h"
#include "norm/shared/public/quantised_scaling.h"
#include "norm/shared/rms.cuh"

namespace kerncast::norm {

/// The elements that share a scale in the kernel of `Config`.
template <class Config>
inline constexpr Scaling scaling_of = static_cast<Scaling>(Config::scaling);

/// True if a block of 16 or 32 elements shares a scale byte.
template <class Config>
inline constexpr bool scales_blocks = static_cast<int>(scaling_of<Config>) >
                                      static_cast<int>(Scaling::per_group);

/// The format of those blocks; that of nvfp4 if there are none.
template <class Config>
using BlocksOf = typename Choose<
    scaling_of<Config> == Scaling::mxfp8, Mxfp8Blocks<typename Config::q_dtype>,
    typename Choose<scaling_of<Config> == Scaling::mxfp4, Mxfp4Blocks, Nvfp4Blocks>::type>::type;

/// Normalises `Width` elements to a unit and a half in the last place of f32, the half their own rounding.
template <class Config, int Width>
__device__ __forceinline__ void normalise_closely(float* values, const typename Config::weight_dtype* weight,
                                                  const Pair& scale, float offset) {
  float gains[Width];
  if constexpr (Config::has_weight) {
    load_values<typename Config::weight_dtype, Width>(weight, gains);
    // Most models add nothing.
    if (offset != 0.0f) {
#pragma unroll
      for (int j = 0; j < Width; ++j) {
        gains[j] += offset;
      }
    }
  }
#pragma unroll
  for (int j = 0; j < Width; ++j) {
    if constexpr (Config::has_weight) {
      // One block of PTX compiles faster than C++: y = x * scale and its rounding error, then both times the
      // gain.
      asm("{ .reg .f32 y, r;\n  mul.f32 y, %0, %2;\n  neg.f32 r, y;\n"
          "  fma.rn.f32 r, %0, %2, r;\n  fma.rn.f32 r, %0, %3, r;\n  mul.f32 r, r, %1;\n"
          "  fma.rn.f32 %0, y, %1, r; }"
          : "+f"(values[j])
          : "f"(gains[j]), "f"(scale.value), "f"(scale.rest));
    } else {
      values[j] = fmaf(values[j], scale.value, values[j] * scale.rest);
    }
  }
}

/// Neighbouring elements that a thread takes: a vector, or its share of a group if that is more.
template <class Config>
inline constexpr int quantised_vector =
    Config::alignment / static_cast<int>(sizeof(typename Config::x_dtype));
template <class Config>
inline constexpr int quantised_part =
    scales_blocks<Config>                      ? block_share<BlocksOf<Config>>(quantised_vector<Config>)
    : scaling_of<Config> == Scaling::per_group ? group_share(quantised_vector<Config>, Config::group)
                                               : quantised_vector<Config>;

/// Neighbouring elements that lanes of one warp share; 1 if there are none.
template <class Config>
inline constexpr int shared_elements = scales_blocks<Config>                      ? BlocksOf<Config>::block
                                       : scaling_of<Config> == Scaling::per_group ? Config::group
                                                                                  : 1;

/// Normalises a row and quantises the result, in f32 and right to its last place. `Source` is the source of a
/// RowWalk whose parts have `values`. store(part, column) is called once for each part, before the part
/// changes.
template <class Config, class Source, class Store>
__device__ __forceinline__ void quantise_row(const RmsNormQuantKernelArgs& args, const Source& source,
                                             const Store& store) {
  using W = typename Config::weight_dtype;
  using Y = typename Config::y_dtype;
  using Q = typename Config::q_dtype;
  using Part = typename Source::Part;
  using Walk = RowWalk<Config, Source>;
  constexpr int vector = quantised_vector<Config>;
  constexpr int count = Source::width;
  static_assert(row_lanes<Config> * count >= shared_elements<Config>, "a group lies within a run of lanes");

  const long long row = row_of_thread<Config>();
  const W* weight = static_cast<const W*>(args.weight);
  Y* y = static_cast<Y*>(args.y) + row * args.y_stride;
  Q* q = static_cast<Q*>(args.q) + row * args.q_stride;

  Walk walk(source, row < args.rows);
  // A static or global scale is prepared once by a block, before the barrier of the reduction, or by each
  // warp if there is no barrier.
  constexpr bool is_global = scaling_of<Config> == Scaling::nvfp4;
  constexpr bool shares_scale =
      (scaling_of<Config> == Scaling::per_tensor || is_global) && row_lanes<Config> > 32;
  __shared__ float2 shared_scale;
  const auto prepared_scale = [&args]() -> float2 {
    if constexpr (is_global) {
      return {*args.scale, 0.0f};
    } else {
      const StaticScale given = static_scale(*args.scale);
      return {given.lift, fast_reciprocal(given.divisor)};
    }
  };
  if (shares_scale && threadIdx.x == 0) {
    shared_scale = prepared_scale();
  }
  const Pair scale = close_scale_of_row<Config::hidden>(walk, args.eps);
  const auto normalise_part = [&](Part& part, int column) {
#pragma unroll
    for (int i = 0; i < count; i += vector) {
      normalise_closely<Config, vector>(part.values + i, weight + column + i, scale, args.weight_offset);
    }
  };
  // A row that registers hold is normalised once; any other row is normalised by every walk.
  if constexpr (Walk::held) {
    walk.change([&](Part& part, int column) {
      store(part, column);
      normalise_part(part, column);
    });
  }

  float factor = 0.0f;
  float lift = 1.0f;  // under nvfp4 the global scale
  if constexpr (scaling_of<Config> == Scaling::per_token) {
    const Max amax =
        walk.template reduce<Max, 1>([&](Max& total, const Part& part, int column, bool present) {
          if constexpr (Walk::held) {
            total.merge(largest_magnitude<count>(part.values));
          } else {
            Part own = part;
            if (present) {
              normalise_part(own, column);
            }
            total.merge(largest_magnitude<count>(own.values));
          }
        });
    const Scale token = scale_of<quant::ScaleFormat::f32>(amax.value, max_of<Q>);
    factor = token.factor;
    if (threadIdx.x % row_lanes<Config> == 0 && row < args.rows) {
      static_cast<unsigned*>(args.s)[row * args.s_stride] = token.bits;
    }
  } else if constexpr (scaling_of<Config> == Scaling::per_tensor || is_global) {
    const float2 prepared = shares_scale ? shared_scale : prepared_scale();
    lift = prepared.x;
    factor = prepared.y;
  }
  walk.template each<1>([&](Part part, int column, bool present) {
    if (!Walk::held && present) {
      store(part, column);
      normalise_part(part, column);
    }
    if (Config::has_y && present) {
#pragma unroll
      for (int i = 0; i < count; i += vector) {
        store_values<Y, vector>(y + column + i, part.values + i);
      }
    }
    if constexpr (scaling_of<Config> == Scaling::per_group) {
      quantise_group<Config, count, vector>(
          {args.q, args.s, args.q_stride, args.s_stride, args.rows, args.padded_rows}, part.values,
          column < Config::hidden ? row : args.padded_rows, column);
    } else if constexpr (scales_blocks<Config>) {
      quantise_block<BlocksOf<Config>, static_cast<quant::SfLayout>(Config::sf_layout), Config::hidden, count,
                     vector>(
          {args.q, args.s, args.q_stride, args.s_stride, args.rows, args.padded_rows, lift}, part.values,
          column < Config::hidden ? row : args.padded_rows, column);
    } else if (present) {
      if constexpr (scaling_of<Config> == Scaling::per_tensor) {
        lift_values<count>(part.values, lift);
      }
      store_quantised<Q, count, vector>(q + column, part.values, factor);
    }
  });
}

}  // namespace kerncast::norm
