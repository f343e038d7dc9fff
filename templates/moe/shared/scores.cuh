#pragma once

#include "device/functions/sigmoid.cuh"
#include "device/functions/softplus.cuh"
#include "moe/shared/public/scoring.h"
#include "moe/shared/router.cuh"

/// The scores of the routers that rank by the score of each logit alone.
namespace kerncast::moe {

/// The logits of a token in shared memory, so that those of the chosen experts are not loaded again.
template <class Config>
struct KeptLogits {
  float4 values[(Config::threads_per_row * held_experts<Config> + 3) / 4];

  __device__ __forceinline__ void keep(unsigned first, const float* x) {
    constexpr int count = held_experts<Config>;
    float* own = reinterpret_cast<float*>(values) + first;
    if constexpr (count == 4) {
      values[first / 4] = make_float4(x[0], x[1], x[2], x[3]);
    } else if constexpr (count == 2) {
      *reinterpret_cast<float2*>(own) = make_float2(x[0], x[1]);
    } else {
      *own = x[0];
    }
  }
  __device__ __forceinline__ float at(unsigned expert) const {
    return reinterpret_cast<const float*>(values)[expert];
  }
};

/// Ranks the thread's experts by score + bias. The logits that it keeps are there for the token's first warp
/// after choose_experts().
template <class Config, bool HasBias, Scoring How, class L, class B>
__device__ __forceinline__ void rank_by_score(Ranked (&held)[held_experts<Config>],
                                              const RouterThread<Config>& at, const L* logits, const B* bias,
                                              KeptLogits<Config>& kept) {
  float x[held_experts<Config>];
  float offsets[held_experts<Config>];
  load_held(logits, at, x);
  if constexpr (HasBias) {
    load_held(bias, at, offsets);
  }
#pragma unroll
  for (int i = 0; i < held_experts<Config>; ++i) {
    const float offset = HasBias ? offsets[i] : 0.0f;
    const int key =
        How == Scoring::sigmoid ? biased_sigmoid_key(x[i], offset) : biased_sqrt_softplus_key(x[i], offset);
    const Candidate mine = {key, at.place_of_first() - i};
    held[i] = at.has(i) ? mine.ranked() : none_ranked;
  }
  kept.keep(at.first(), x);
  if constexpr (row_warps<Config> == 1) {
    __syncwarp();
  }
}

/// The scores of a token's slots, of which each lane has one or none.
template <Scoring How>
struct SlotScores {
  Scaled mine;
  int largest_exponent;
  bool nan;

  /// The score of the lane's expert `id`, or 0 without a slot. One warp calls it.
  template <class Config>
  __device__ __forceinline__ SlotScores(const KeptLogits<Config>& logits, unsigned id, bool has_slot) {
    const float x = logits.at(has_slot ? id : 0);
    if constexpr (How == Scoring::sigmoid) {
      mine = scaled_sigmoid(x);
    } else {
      mine = scaled_sqrt_softplus(x);
    }
    mine.value = has_slot ? mine.value : 0.0f;
    mine.exponent = has_slot ? mine.exponent : -2000;
    largest_exponent = warp_max(mine.exponent);
    nan = __any_sync(0xffffffffu, mine.value != mine.value);
  }

  /// The sum of all slots; NaN if one is.
  __device__ __forceinline__ Scaled sum() const {
    UnitSum total;
    total.add(mine, mine.exponent - largest_exponent);
    const Pair units = total.over_warp().units(32);
    return {nan ? unordered(nan_key) : units.value, units.rest, largest_exponent - 20};
  }
};

/// `weight`, the lane's weight from its score and the sum, or the weight that it has beside an infinite
/// score, which the sum does not hold. `is_routed` is false in the slot of a shared expert.
template <bool Renormalize, Scoring How>
__device__ __forceinline__ float beside_infinity(float weight, const SlotScores<How>& scores,
                                                 bool is_routed) {
  if constexpr (How == Scoring::sqrtsoftplus) {
    const bool mine = fabsf(scores.mine.value) > 3.40282347e38f;
    if (__any_sync(0xffffffffu, mine)) {
      const float nan = unordered(nan_key);
      if (Renormalize) {
        return is_routed && !mine && !scores.nan ? 0.0f : nan;
      }
      return is_routed && !mine ? weight : scores.nan && !is_routed ? nan : __int_as_float(0x7f800000);
    }
  }
  return weight;
}

/// part / whole, or 0 if the whole is: all scores are 0 then (logits of -infinity).
__device__ __forceinline__ float share(const Scaled& part, const Scaled& whole) {
  const Pair made = quotient({part.value, part.rest}, {whole.value, whole.rest});
  const float made_share = times_power_of_two(made.value + made.rest, part.exponent - whole.exponent);
  return whole.value == 0.0f ? 0.0f : made_share;
}

}  // namespace kerncast::moe
