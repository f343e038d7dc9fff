#pragma once

#include "device/exponential.cuh"
#include "moe/shared/router.cuh"
#include "moe/shared/topk_gate_args.h"

namespace kerncast::moe {

/// A sum of exponentials, relative to the largest of them.
struct ExponentialSum {
  double largest = -1e300;
  double sum = 0.0;

  __device__ __forceinline__ void add(double x) { merge({x, 1.0}); }
  __device__ __forceinline__ void merge(const ExponentialSum& other) {
    const double difference = other.largest - largest;
    const double factor = close_exp(-fabs(difference));
    const bool up = difference > 0.0;
    sum = up ? fma(sum, factor, other.sum) : fma(other.sum, factor, sum);
    largest = up ? other.largest : largest;
  }
  __device__ __forceinline__ ExponentialSum from_lane(int mask) const {
    return {exchange(largest, mask), exchange(sum, mask)};
  }
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

  ExponentialSum sum;
  if (at.token < args.rows) {
    score_experts<Config>(keys, at.thread, [&](int expert) {
      const float x = load_value(logits + expert);
      if constexpr (Config::renormalize && exact) {
        return key_of(x);
      }
      const double value = exponent<Config>(x, Config::has_bias ? load_value(bias + expert) : 0.0f, args);
      if constexpr (!Config::renormalize) {
        sum.add(value);
      }
      if constexpr (exact) {
        return key_of(x);
      }
      const float kept = static_cast<float>(0.5 * value);
      rests[expert] = fabsf(kept) <= 3.40282347e38f ? static_cast<float>(0.5 * value - kept) : 0.0f;
      return key_of(kept);
    });
  }
  if constexpr (!Config::renormalize) {
    sum = reduce_threads<Config::threads_per_row, Config::threads_per_row * Config::rows_per_block>(sum);
  }
  __syncthreads();
  if (at.token >= args.rows || lane >= 32) {
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
  double value = unordered(chosen.key);
  if constexpr (!exact) {
    value = 2.0 * (value + rests[chosen.index]);
  }
  if constexpr (Config::renormalize) {
    sum.largest = broadcast(value, 0);
  }
  double weight = lane < Config::top_k ? close_exp(value - sum.largest) : 0.0;
  if constexpr (Config::renormalize) {
    sum.sum = sum_of_slots<Config>(weight);
  }
  // Infinity minus infinity is NaN. The sum is 0 only if all values are -infinity.
  const double total = sum.sum + (sum.largest - sum.largest);
  weight = total > 0.0 && !nan ? weight * close_reciprocal(total) : unordered(nan_key);
  store_slot<Config>(args, at.token, lane, weight, chosen.index);
}

}  // namespace kerncast::moe
