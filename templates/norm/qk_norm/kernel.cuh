#pragma once

#include "device/index.cuh"
#include "device/programmatic_launch.cuh"
#include "device/rope.cuh"
#include "norm/qk_norm/kernel_args.h"
#include "norm/shared/rms.cuh"

namespace kerncast::norm {

/// Leaves the heads as the norm gives them.
struct NoRope {
  static constexpr int rotary = 0;
  static constexpr bool interleaved = false;
};

/// x * gain without loss.
template <class Config>
__device__ __forceinline__ Pair scaled(float x, float weight) {
  Pair gain = {weight, 0.0f};
  if constexpr (Config::unit_offset) {
    gain = exact_sum(weight, 1.0f);
  }
  const float product = x * gain.value;
  const float rest = fmaf(x, gain.value, -product);
  return {product, Config::unit_offset ? fmaf(x, gain.rest, rest) : rest};
}

/// Normalises the elements of a pair of vectors and turns them.
template <class Config, class Rope, class Pairs>
__device__ __forceinline__ void finish_pair(float* values, const float* weights,
                                            const Rotation<Pairs>& rotation, float scale) {
  // 16-bit elements and weights multiply without loss.
  constexpr bool has_rests = Config::unit_offset || sizeof(typename Config::weight_dtype) == 4;
  if constexpr (Rope::rotary == 0) {
#pragma unroll
    for (int i = 0; i < 2 * Pairs::width; ++i) {
      values[i] = values[i] * scale * (Config::unit_offset ? weights[i] + 1.0f : weights[i]);
    }
  } else {
    // The power of two in the scale comes first, to keep products in range; the rest of it comes last.
    const unsigned exponent = __float_as_uint(scale) & 0x7f800000u;
    const float power = __uint_as_float(exponent);
    const float mantissa = scale * __uint_as_float(0x7f000000u - exponent);
#pragma unroll
    for (int i = 0; i < Pairs::width; ++i) {
      float& a = values[Pairs::element(i)];
      float& b = values[Pairs::partner(i)];
      if constexpr (!has_rests) {
        turn_pair(a, b, weights[Pairs::element(i)], weights[Pairs::partner(i)], rotation.cosines[i],
                  rotation.sines[i], rotation.turns(i), power, mantissa);
      } else {
        const bool turns = rotation.turns(i);
        const float cosine = turns ? rotation.cosines[i] : 1.0f;
        const float sine = turns ? rotation.sines[i] : 0.0f;
        const Pair none = {0.0f, 0.0f};
        const Pair first = scaled<Config>(a * power, weights[Pairs::element(i)]);
        const Pair second = scaled<Config>(b * power, weights[Pairs::partner(i)]);
        a = turned(first, cosine, turns ? second : none, -sine) * mantissa;
        b = turned(second, cosine, turns ? first : none, sine) * mantissa;
      }
    }
  }
}

/// The overload for f32 elements, whose last place needs double.
template <class Config, class Rope, class Pairs>
__device__ __forceinline__ void finish_pair_precisely(float* values, const float* weights,
                                                      const Rotation<Pairs>& rotation,
                                                      const Pair& row_scale) {
  const double scale = static_cast<double>(row_scale.value) + row_scale.rest;
  constexpr double offset = Config::unit_offset ? 1.0 : 0.0;
#pragma unroll
  for (int i = 0; i < Pairs::width; ++i) {
    float& a = values[Pairs::element(i)];
    float& b = values[Pairs::partner(i)];
    const double first = a * (weights[Pairs::element(i)] + offset);
    const double second = b * (weights[Pairs::partner(i)] + offset);
    a = static_cast<float>(first * scale);
    b = static_cast<float>(second * scale);
    if constexpr (Rope::rotary > 0) {
      if (rotation.turns(i)) {
        const double cosine = rotation.cosines[i];
        const double sine = rotation.sines[i];
        a = static_cast<float>((first * cosine - second * sine) * scale);
        b = static_cast<float>((second * cosine + first * sine) * scale);
      }
    }
  }
}

/// The interface that range_of() needs of a row, for a row that one warp has.
struct HeadOfWarp {
  __device__ __forceinline__ static bool any(bool mine) { return __any_sync(0xffffffffu, mine); }
  __device__ __forceinline__ static void settle() {}
};

/// The factor of a head of X, of whose elements each of `Lanes` lanes holds `Parts` vectors of `Width`.
template <class X, int HeadDim, int Lanes, int Width, int Parts, class Vector>
__device__ __forceinline__ Pair scale_of_head(const Vector* parts, float eps) {
  const auto add = [parts](auto& total, float by) {
#pragma unroll
    for (int i = 0; i < Parts; ++i) {
      float values[Width];
      unpack<X>(parts[i], values);
#pragma unroll
      for (int j = 0; j < Width; ++j) {
        values[j] *= by;
      }
      add_squares<Width>(total, values);
    }
  };
  if constexpr (sizeof(X) == 4) {
    DoubleSum squares;
    add(squares, 1.0f);
    return inverse_rms<HeadDim>(reduce_lanes<Lanes>(squares), eps);
  } else {
    float root = 0.0f;
    const float before = range_of<HeadOfWarp>(eps, [&](float by, float added) {
      Sum squares;
      add(squares, 1.0f);
      // Most heads need no power: a branch costs less than the products.
      if (by != 1.0f) {
        squares = Sum{};
        add(squares, by);
      }
      const float total = fmaf(reduce_lanes<Lanes>(squares).value, 1.0f / HeadDim, added);
      root = rsqrtf(total);
      return total;
    });
    return {scaled_by(root, before), 0.0f};
  }
}

/// A few lanes normalise a head in place, two vectors of it each; `slots` such groups share the q and k heads
/// of a token. `angles_of(token)` gives the angles of a token, -1 if there is none for the group.
template <class Config, class Rope, class AnglesOf>
__device__ __forceinline__ void norm_heads(const QkNormKernelArgs& args, const AnglesOf& angles_of) {
  using X = typename Config::qkv_dtype;
  using W = typename Config::weight_dtype;
  constexpr bool precise = sizeof(X) == 4;
  using Vector = typename VectorType<Config::alignment>::type;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  constexpr int vectors = Config::head_dim / width;
  using Pairs = HeadPairs<vectors, width, Rope::rotary, Rope::interleaved>;
  constexpr int lanes = power_of_two_above(Pairs::count, 32);
  constexpr int per_lane = (Pairs::count + lanes - 1) / lanes;
  constexpr int heads = Config::q_heads + Config::kv_heads;
  static_assert(Config::head_dim % width == 0, "a head is a whole number of vectors");

  const int lane = threadIdx.x % lanes;
  const long long unit = linear_block() * (Config::threads / lanes) + threadIdx.x / lanes;
  const long long token = unit / Config::slots;
  const int slot = static_cast<int>(unit % Config::slots);
  const bool present = token < args.tokens;
  X* base = static_cast<X*>(args.qkv) + token * args.token_stride;

  Rotation<Pairs> rotations[per_lane];
  if constexpr (Rope::rotary > 0) {
    const auto angles = angles_of(present ? token : -1);
#pragma unroll
    for (int i = 0; i < per_lane; ++i) {
      rotations[i].load(angles, lane + i * lanes);
    }
  }
  // Every lane takes every turn: a reduction needs whole warps.
#pragma unroll 1
  for (int turn = 0; turn < heads; turn += Config::slots) {
    const int head = slot + turn;
    const bool active = present && head < heads;
    X* x = base + head * args.head_stride;
    const W* weight = static_cast<const W*>(head < Config::q_heads ? args.q_weight : args.k_weight);
    Vector parts[2 * per_lane];
#pragma unroll
    for (int i = 0; i < 2 * per_lane; ++i) {
      const int pair = lane + i / 2 * lanes;
      const int vector = i % 2 == 0 ? Pairs::first(pair) : Pairs::second(pair);
      parts[i] = Vector{};
      if (active && pair < Pairs::count && vector < vectors) {
        parts[i] = reinterpret_cast<const Vector*>(x)[vector];
      }
    }
    const Pair scale = scale_of_head<X, Config::head_dim, lanes, width, 2 * per_lane>(parts, args.eps);
#pragma unroll
    for (int i = 0; i < per_lane; ++i) {
      const int pair = lane + i * lanes;
      if (active && pair < Pairs::count) {
        const int first = Pairs::first(pair) * width;
        const int second = Pairs::second(pair) * width;
        const bool both = vectors % 2 == 0 || second < Config::head_dim;
        float values[2 * width];
        float weights[2 * width];
        unpack<X>(parts[2 * i], values);
        unpack<X>(parts[2 * i + 1], values + width);
        load_span<W, width, Pairs::in_step>(weight + first, weights);
        load_span<W, width, Pairs::in_step>(weight + (both ? second : first), weights + width);
        if constexpr (precise) {
          finish_pair_precisely<Config, Rope>(values, weights, rotations[i], scale);
        } else {
          finish_pair<Config, Rope>(values, weights, rotations[i], scale.value);
        }
        store_values<X, width>(x + first, values);
        if (both) {
          store_values<X, width>(x + second, values + width);
        }
      }
    }
  }
}

template <class Config>
__global__ void __launch_bounds__(Config::threads) qk_norm_kernel(const QkNormKernelArgs args) {
  begin_kernel();
  norm_heads<Config, NoRope>(args, [](long long) {});
}

}  // namespace kerncast::norm
