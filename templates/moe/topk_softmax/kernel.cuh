#pragma once

#include "device/exponential.cuh"
#include "device/programmatic_launch.cuh"
#include "moe/shared/router.cuh"
#include "moe/shared/topk_gate_args.h"

namespace kerncast::moe {

/// A sum of up to 1024 terms from 0 to 1 in units of 2^-52, each with the bits of 1.0 too much. Sums of
/// integers do not depend on their order.
struct UnitSum {
  unsigned long long units = 0;

  __device__ __forceinline__ void add(double x) { units += __double_as_longlong(1.0 + x); }
  __device__ __forceinline__ void merge(const UnitSum& other) { units += other.units; }
  __device__ __forceinline__ UnitSum from_lane(int mask) const {
    const double other = exchange(__longlong_as_double(static_cast<long long>(units)), mask);
    return {static_cast<unsigned long long>(__double_as_longlong(other))};
  }
  /// The sum of `count` terms.
  __device__ __forceinline__ double value(int count) const {
    return 0x1p-52 * static_cast<double>(units - count * 0x3ff0000000000000ull);
  }
};

/// The largest of values. NaN and -infinity are ignored.
template <class T>
struct Largest {
  T value = sizeof(T) == 4 ? -3.40282347e38f : -1e300;

  __device__ __forceinline__ void add(T x) { value = x > value ? x : value; }
  __device__ __forceinline__ void merge(const Largest& other) { add(other.value); }
  __device__ __forceinline__ Largest from_lane(int mask) const { return {exchange(value, mask)}; }
};

/// The value that enters the softmax, from a logit and its bias. It may be twice the largest float.
template <class Config>
__device__ __forceinline__ double exponent(float x, float bias, const TopkGateKernelArgs& args) {
  double value = x;
  if constexpr (Config::softcap) {
    value = args.softcap * close_tanh(value * args.inverse_softcap);
  }
  return Config::has_bias ? value + bias : value;
}

template <class Config>
__global__ void __launch_bounds__(Config::threads_per_row* Config::rows_per_block)
    topk_softmax_kernel(const TopkGateKernelArgs args) {
  begin_kernel();
  using L = typename Config::logits_dtype;
  using B = typename Config::bias_dtype;
  constexpr int count = experts_per_lane<Config>;

  // True if a key determines its value exactly.
  constexpr bool exact = !Config::has_bias && !Config::softcap;

  __shared__ int shared_keys[Config::rows_per_block][count * 32 + 1];
  // A key stands for half the value, which no float overflows. These are the halves' rounding errors.
  __shared__ float shared_rests[Config::rows_per_block][exact ? 1 : Config::experts];

  const RouterThread<Config> at;
  const int lane = at.thread;
  const L* logits = static_cast<const L*>(args.logits) + at.token * args.logits_stride;
  const B* bias = static_cast<const B*>(args.bias);
  int* keys = shared_keys[at.place];
  float* rests = shared_rests[at.place];

  const bool active = at.token < args.rows;
  auto most = [] {
    if constexpr (exact) {
      return Largest<float>();
    } else {
      return Largest<double>();
    }
  }();
  if (active) {
    score_experts<Config>(keys, at.thread, [&](int expert) {
      const float x = load_value(logits + expert);
      if constexpr (exact) {
        if constexpr (!Config::renormalize) {
          most.add(x);
        }
        return key_of(x);
      }
      const double value = exponent<Config>(x, Config::has_bias ? load_value(bias + expert) : 0.0f, args);
      if constexpr (!Config::renormalize) {
        most.add(value);
      }
      const float kept = static_cast<float>(0.5 * value);
      rests[expert] = fabsf(kept) <= 3.40282347e38f ? static_cast<float>(0.5 * value - kept) : 0.0f;
      return key_of(kept);
    });
  }
  // The value of an expert with this key.
  const auto value_of = [rests](int key, int expert) {
    const double value = unordered(key);
    return exact ? value : 2.0 * (value + rests[expert]);
  };
  constexpr int row_threads = Config::threads_per_row;
  constexpr int block_threads = row_threads * Config::rows_per_block;
  UnitSum sum;
  if constexpr (!Config::renormalize) {
    most = reduce_threads<row_threads, block_threads>(most);
    if (active) {
      // Each thread adds the experts that it has scored.
#pragma unroll 1
      for (int expert = at.thread; expert < Config::experts; expert += row_threads) {
        sum.add(close_exp(value_of(keys[key_place<count>(expert)], expert) - most.value));
      }
    }
    sum = reduce_threads<row_threads, block_threads, 1>(sum);
  }
  // The sum of several warps has a barrier of its own.
  if constexpr (Config::renormalize || row_threads <= 32) {
    __syncthreads();
  }
  if (!active || lane >= 32) {
    return;
  }

  int best = no_candidate;
  bool nan = false;
#pragma unroll 1
  for (int i = 0; i < count; ++i) {
    const int key = keys[key_place<count>(lane * count + i)];
    best = max(best, key);
    nan = nan || key == nan_key;
  }
  // One NaN makes the sum of the whole row NaN.
  nan = __any_sync(0xffffffffu, nan);
  // All lanes have read their keys before any lane strikes one out.
  __syncwarp();
  Candidate chosen = {0, no_candidate};
  choose<count>(keys, best, Config::top_k, lane, [&chosen](const Candidate& taken) { chosen = taken; });
  const double value = value_of(chosen.key, chosen.index);
  const double largest = Config::renormalize ? broadcast(value, 0) : most.value;
  double weight = lane < Config::top_k ? close_exp(value - largest) : 0.0;
  double total = Config::renormalize ? sum_of_slots<Config>(weight) : sum.value(Config::experts);
  // Infinity minus infinity is NaN.
  total += largest - largest;
  weight = total > 0.0 && !nan ? weight * close_reciprocal(total) : unordered(nan_key);
  store_slot<Config>(args, at.token, lane, weight, chosen.index);
}

}  // namespace kerncast::moe
