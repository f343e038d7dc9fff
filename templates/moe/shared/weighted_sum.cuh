#pragma once

#include "device/index.cuh"
#include "device/pair.cuh"
#include "device/scalar.cuh"
#include "device/vec.cuh"
#include "moe/shared/weighted_sum_args.h"

namespace kerncast::moe {

/// A sum of products, in order. If `Precise`, it also sums up the rounding errors of all steps: a result in
/// f32 would not be right to its last place otherwise.
template <bool Precise>
struct ProductSum {
  float value = 0.0f;
  float rest = 0.0f;

  __device__ __forceinline__ void add(float a, float b) {
    if constexpr (Precise) {
      const float product = a * b;
      const Pair sum = exact_sum(value, product);
      rest += sum.rest + fmaf(a, b, -product);
      value = sum.value;
    } else {
      value = fmaf(a, b, value);
    }
  }

  /// True unless a step may have overflowed, or lost what `factor` makes large again.
  __device__ __forceinline__ bool is_sound(float factor) const {
    const bool is_small = Precise && fabsf(factor) > 1.0f && fabsf(value) < 0x1p-90f;
    return value * 0.0f == 0.0f && !is_small && fabsf(factor) <= 1024.0f;
  }

  __device__ __forceinline__ float scaled(float factor, float addend) const {
    // If the sum is infinite, the rounding errors are NaN and must not be used.
    const bool sound = Precise && fabsf(rest) <= 3.40282347e38f;
    return fmaf(factor, value, sound ? fmaf(factor, rest, addend) : addend);
  }
};

/// ProductSum::is_sound of all of `sums`.
template <int Count, bool Precise>
__device__ __forceinline__ bool are_sound(const ProductSum<Precise>* sums, float factor) {
  // 0 times infinity is NaN.
  float zero = 0.0f;
  float least = fabsf(sums[0].value);
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    zero = fmaf(sums[i].value, 0.0f, zero);
    least = fminf(least, fabsf(sums[i].value));
  }
  const bool is_small = Precise && fabsf(factor) > 1.0f && least < 0x1p-90f;
  return zero == 0.0f && !is_small && fabsf(factor) <= 1024.0f;
}

/// True if `id`, after the map, is that of one of the experts here, as device/grouping.cuh has it.
template <class Config>
__device__ __forceinline__ bool names_expert(const WeightedSumKernelArgs& args, int id) {
  if constexpr (Config::has_expert_map) {
    id = id >= 0 && id < args.expert_map_size ? args.expert_map[id] : -1;
  }
  return id >= 0 && id < Config::experts;
}

/// The rows of x that the slots of a token have.
enum class SlotRows : unsigned char {
  own,     ///< each slot its own
  mapped,  ///< the map gives the row of each slot, and a slot whose map names none gives 0
  named,   ///< each slot its own, but a slot whose id names no expert here gives 0
};

/// y = factor * sum over slots of weight * x + addend. In each of the blocks_per_row blocks of a token, lanes
/// = threads / rows_per_block threads share it.
template <class Config, SlotRows Rows>
__device__ __forceinline__ void weighted_sum(const WeightedSumKernelArgs& args) {
  using X = typename Config::x_dtype;
  using Y = typename Config::y_dtype;
  using Vector = typename VectorType<Config::alignment>::type;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  constexpr int vectors = Config::hidden / width;
  constexpr int lanes = Config::threads / Config::rows_per_block;
  constexpr int slots = Config::top_k;
  constexpr bool precise = sizeof(Y) == 4;
  constexpr bool looked_up = Rows != SlotRows::own;
  static_assert(width >= 1 && Config::hidden % width == 0, "a row is a whole number of vectors");
  // For sm_120 the compiler spills registers if there are four.
#if __CUDA_ARCH__ >= 1200
  constexpr int slots_at_once = 2;
#else
  constexpr int slots_at_once = 4;
#endif

  const long long block = linear_block();
  const long long first = block / Config::blocks_per_row * Config::rows_per_block;
  // The compiler does not know how many threads a block has.
  constexpr bool alone = Config::rows_per_block == 1;
  const int place = alone ? 0 : threadIdx.x / lanes;
  const int lane = alone ? threadIdx.x : threadIdx.x % lanes;
  const long long token = first + place;

  __shared__ float weights[Config::rows_per_block * slots];
  __shared__ int rows[Config::rows_per_block * slots];
  if constexpr (looked_up || Config::has_weights) {
#pragma unroll 1
    for (int i = threadIdx.x; i < Config::rows_per_block * slots; i += Config::threads) {
      const long long owner = first + i / slots;
      if (owner < args.rows) {
        if constexpr (Config::has_weights) {
          weights[i] = args.weights[owner * args.weights_stride + i % slots];
        }
        if constexpr (looked_up) {
          const int entry = args.map[owner * args.map_stride + i % slots];
          if constexpr (Rows == SlotRows::named) {
            rows[i] = names_expert<Config>(args, entry) ? i % slots : -1;
          } else {
            rows[i] = entry;
          }
        }
      }
    }
    __syncthreads();
  }
  if (token >= args.rows) {
    return;
  }
  const X* x = static_cast<const X*>(args.x) + (Rows == SlotRows::mapped ? 0 : token * args.x_stride);
  Y* y = static_cast<Y*>(args.y) + token * args.y_stride;

#pragma unroll 1
  for (int vector = lane + static_cast<int>(block % Config::blocks_per_row) * lanes; vector < vectors;
       vector += lanes * Config::blocks_per_row) {
    ProductSum<precise> sums[width];
#pragma unroll(slots_at_once)
    for (int k = 0; k < slots; ++k) {
      long long row = k;
      bool named = true;
      if constexpr (looked_up) {
        row = rows[place * slots + k];
        named = row >= 0 && row < args.x_rows;
      }
      Vector part{};
      if (named) {
        part = *reinterpret_cast<const Vector*>(x + row * args.x_slot_stride + vector * width);
      }
      float weight = 1.0f;
      if constexpr (Config::has_weights) {
        weight = named ? weights[place * slots + k] : 0.0f;
      }
      float values[width];
      unpack<X>(part, values);
#pragma unroll
      for (int j = 0; j < width; ++j) {
        sums[j].add(weight, values[j]);
      }
    }
    float out[width];
    if constexpr (Config::has_addend) {
      load_values<Y, width>(static_cast<const Y*>(args.addend) + token * args.addend_stride + vector * width,
                            out);
    }
    unsigned lost = 0;
#pragma unroll
    for (int j = 0; j < width; ++j) {
      out[j] = sums[j].scaled(args.factor, Config::has_addend ? out[j] : 0.0f);
    }
    if (!are_sound<width>(sums, args.factor)) {
#pragma unroll
      for (int j = 0; j < width; ++j) {
        lost |= sums[j].is_sound(args.factor) ? 0u : 1u << j;
      }
    }
    // In double nothing overflows or vanishes. This is rare, so it goes by single elements.
#pragma unroll 1
    for (; lost != 0; lost &= lost - 1) {
      const int place_of_lost = __ffs(static_cast<int>(lost)) - 1;
      const int column = vector * width + place_of_lost;
      double sum = 0.0;
#pragma unroll 1
      for (int k = 0; k < slots; ++k) {
        const long long row = looked_up ? rows[place * slots + k] : k;
        if (!looked_up || (row >= 0 && row < args.x_rows)) {
          const double weight = Config::has_weights ? weights[place * slots + k] : 1.0f;
          sum += weight * load_value(x + row * args.x_slot_stride + column);
        }
      }
      sum *= args.factor;
      if constexpr (Config::has_addend) {
        sum += load_value(static_cast<const Y*>(args.addend) + token * args.addend_stride + column);
      }
#pragma unroll
      for (int j = 0; j < width; ++j) {
        out[j] = j == place_of_lost ? static_cast<float>(sum) : out[j];
      }
    }
    store_values<Y, width>(y + vector * width, out);
    if constexpr (lanes * Config::blocks_per_row >= vectors) {
      break;
    }
  }
}

}  // namespace kerncast::moe
