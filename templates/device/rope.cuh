#pragma once

#include "device/functions/angle.cuh"
#include "device/pair.cuh"
#include "device/span.cuh"

/// Rotary position embedding of heads that are held in registers. Elements (i, i + Rotary / 2) of a head turn
/// together in the NeoX style, (2i, 2i + 1) in the interleaved style.
namespace kerncast {

/// Assigns the `Vectors` vectors of a head to lanes, two at a time, so that elements that turn together share
/// a lane and neighbouring lanes take neighbouring vectors.
template <int Vectors, int Width, int Rotary, bool Interleaved>
struct HeadPairs {
  static constexpr int width = Width;
  static constexpr int rotary = Rotary;
  static constexpr bool interleaved = Interleaved && Rotary > 0;
  static constexpr bool single_elements = interleaved && Width == 1;
  /// Vectors in each of the two halves that turn. The rest of a head is halved too.
  static constexpr int turning = interleaved ? 0 : Rotary / 2 / Width;
  static constexpr int rest = (Vectors - 2 * turning + 1) / 2;
  static constexpr int count = turning + rest;
  /// True if lanes 2i and 2i + 1 always take neighbouring vectors.
  static constexpr bool in_step = turning % 2 == 0 && (Vectors - 2 * turning) % 4 == 0 && !single_elements;

  __device__ __forceinline__ static int first(int pair) {
    return single_elements ? 2 * pair : pair + (pair < turning ? 0 : turning);
  }
  /// If the number of vectors is odd, the last pair's second vector is past the end of the head.
  __device__ __forceinline__ static int second(int pair) {
    return single_elements ? 2 * pair + 1 : pair + turning + (pair < turning ? 0 : rest);
  }
  /// Position of the i-th turning element among the pair's 2 * Width elements; partner() gives the position
  /// of the element that turns with it.
  __device__ __forceinline__ static constexpr int element(int i) { return interleaved ? 2 * i : i; }
  __device__ __forceinline__ static constexpr int partner(int i) {
    return interleaved ? 2 * i + 1 : i + Width;
  }
};

/// Cosines and sines of a table's row: Rotary / 2 cosines, then as many sines. Nothing turns if it is null.
template <int Rotary>
struct TableAngles {
  const float* row;

  __device__ __forceinline__ bool turns() const { return row != nullptr; }
  template <int Count, bool Paired>
  __device__ __forceinline__ void load(int begin, float* cosines, float* sines) const {
    load_span<float, Count, Paired>(row + begin, cosines);
    load_span<float, Count, Paired>(row + Rotary / 2 + begin, sines);
  }
};

/// Cosines and sines of position * inverse frequency, times `factor`. They do not wait for a position before
/// they load. A position below 0 or from exact_positions on turns nothing. `Precise` is for elements of f32.
template <bool Precise>
struct ComputedAngles {
  const float* inverse_frequencies;
  long long position;
  float factor;

  __device__ __forceinline__ bool turns() const { return position >= 0 && position < exact_positions; }
  template <int Count, bool Paired>
  __device__ __forceinline__ void load(int begin, float* cosines, float* sines) const {
    float frequencies[Count];
    load_span<float, Count, Paired>(inverse_frequencies + begin, frequencies);
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      if constexpr (Precise) {
        cosine_and_sine(static_cast<float>(position), frequencies[i], cosines[i], sines[i]);
      } else {
        cosine_and_sine_briefly(static_cast<float>(position), frequencies[i], cosines[i], sines[i]);
      }
      cosines[i] *= factor;
      sines[i] *= factor;
    }
  }
};

/// The cosines and sines by which one pair of vectors turns.
template <class Pairs>
struct Rotation {
  float cosines[Pairs::width];
  float sines[Pairs::width];
  /// True if the first, or the second, half of the angles turns anything. Elements that do not turn must not
  /// be combined, since NaN and infinity survive a factor of 0.
  bool halves[2];

  template <class Angles>
  __device__ __forceinline__ void load(const Angles& angles, int pair) {
    constexpr int width = Pairs::width;
    if constexpr (Pairs::interleaved && !Pairs::single_elements) {
      halves[0] = load_part<width / 2>(angles, Pairs::first(pair) * (width / 2), 0);
      halves[1] = load_part<width / 2>(angles, Pairs::second(pair) * (width / 2), width / 2);
    } else {
      halves[0] = halves[1] = load_part<width>(angles, pair * width, 0);
    }
  }

  __device__ __forceinline__ bool turns(int i) const { return halves[2 * i >= Pairs::width ? 1 : 0]; }

 private:
  template <int Count, class Angles>
  __device__ __forceinline__ bool load_part(const Angles& angles, int begin, int at) {
    if (!angles.turns() || begin >= Pairs::rotary / 2) {
      return false;
    }
    angles.template load<Count, Pairs::in_step>(begin, cosines + at, sines + at);
    return true;
  }
};

/// Multiplies (a, b) by `power` and by their weights, turns them if `turns`, and multiplies them by
/// `mantissa`. If elements and weights multiply exactly, the result is right to the last place but one even
/// if terms cancel. It is one block of PTX, which shortens the compile: every pair inlines it.
__device__ __forceinline__ void turn_pair(float& a, float& b, float a_weight, float b_weight, float cosine,
                                          float sine, bool turns, float power, float mantissa) {
  asm("{ .reg .f32 a, b, x, y, p, l, m, c, s;\n  .reg .pred t;\n"
      "  setp.ne.s32 t, %6, 0;\n  selp.f32 c, %4, 0f3F800000, t;\n  selp.f32 s, %5, 0f00000000, t;\n"
      "  mul.f32 a, %0, %7;\n  mul.f32 b, %1, %7;\n  mul.f32 a, a, %2;\n  mul.f32 b, b, %3;\n"
      "  selp.f32 x, a, 0f00000000, t;\n  selp.f32 y, b, 0f00000000, t;\n"
      "  mul.f32 p, y, s;\n  neg.f32 m, p;\n  fma.rn.f32 l, y, s, m;\n  fma.rn.f32 a, a, c, m;\n"
      "  sub.f32 a, a, l;\n  mul.f32 %0, a, %8;\n"
      "  mul.f32 p, x, s;\n  neg.f32 m, p;\n  fma.rn.f32 l, x, s, m;\n  fma.rn.f32 b, b, c, p;\n"
      "  add.f32 b, b, l;\n  mul.f32 %1, b, %8; }"
      : "+f"(a), "+f"(b)
      : "f"(a_weight), "f"(b_weight), "f"(cosine), "f"(sine), "r"(static_cast<int>(turns)), "f"(power),
        "f"(mantissa));
}

/// a * cosine + b * sine, right to the last place but one even if the terms cancel.
__device__ __forceinline__ float turned(const Pair& a, float cosine, const Pair& b, float sine) {
  float sum;
  asm("{ .reg .f32 p, l;\n  mul.f32 p, %3, %5;\n  neg.f32 l, p;\n  fma.rn.f32 l, %3, %5, l;\n"
      "  fma.rn.f32 l, %4, %5, l;\n  fma.rn.f32 l, %2, %6, l;\n  fma.rn.f32 p, %1, %6, p;\n"
      "  add.f32 %0, p, l; }"
      : "=f"(sum)
      : "f"(a.value), "f"(a.rest), "f"(b.value), "f"(b.rest), "f"(sine), "f"(cosine));
  return sum;
}

}  // namespace kerncast
