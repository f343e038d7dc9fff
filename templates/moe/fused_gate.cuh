#pragma once

#include "device/sigmoid.cuh"
#include "moe/fused_gate_args.h"
#include "moe/router.cuh"

namespace kerncast::moe {

/// The two largest of a group's keys.
struct TopTwo {
  int first = no_candidate;
  int second = no_candidate;

  __device__ __forceinline__ void add(int key) {
    second = max(second, min(first, key));
    first = max(first, key);
  }
  __device__ __forceinline__ void merge(const TopTwo& other) {
    second = max(min(first, other.first), max(second, other.second));
    first = max(first, other.first);
  }
  __device__ __forceinline__ TopTwo from_lane(int mask) const {
    return {__shfl_xor_sync(0xffffffffu, first, mask), __shfl_xor_sync(0xffffffffu, second, mask)};
  }

  /// Of a group of `size` experts.
  __device__ __forceinline__ int score(int size) const {
    return size > 1 ? ordered(fmaxf(unordered(first) + unordered(second), -3.40282347e38f)) : first;
  }
};

/// Whether the group of this lane is kept, where every group is a whole number of lanes; `top` is of the
/// lane's own candidates.
template <class Config>
__device__ __forceinline__ bool group_is_kept(TopTwo top, int lane) {
  constexpr int lanes = 32 / Config::groups;
  top = reduce_lanes<lanes>(top);
  const int score = top.score(Config::experts / Config::groups);
  int better = 0;
#pragma unroll 1
  for (int other = 0; other < 32; other += lanes) {
    // A lower group wins a tie.
    better += __shfl_sync(0xffffffffu, score, other) + (other + lanes <= lane ? 1 : 0) > score ? 1 : 0;
  }
  return better < Config::topk_group;
}

/// Strikes out the candidates of all but the best groups, whatever their size. By one warp.
template <class Config>
__device__ __forceinline__ void keep_groups(int* keys, int place, unsigned lane) {
  constexpr unsigned size = Config::experts / Config::groups;
  constexpr int count = experts_per_lane<Config>;
  __shared__ int shared_scores[Config::rows_per_block][Config::groups];
  int* scores = shared_scores[place];
#pragma unroll 1
  for (unsigned group = lane; group < Config::groups; group += 32) {
    TopTwo top;
#pragma unroll 1
    for (unsigned i = group * size; i < group * size + size; ++i) {
      top.add(keys[key_place<count>(i)]);
    }
    scores[group] = top.score(size);
  }
  __syncwarp();
#pragma unroll 1
  for (unsigned group = lane; group < Config::groups; group += 32) {
    const int score = scores[group];
    int better = 0;
#pragma unroll 1
    for (unsigned other = 0; other < Config::groups; ++other) {
      better += scores[other] + (other < group ? 1 : 0) > score ? 1 : 0;
    }
    // None of a kept group's turns of the loop are taken.
    const unsigned end = better < Config::topk_group ? 0 : group * size + size;
#pragma unroll 1
    for (unsigned i = group * size; i < end; ++i) {
      keys[key_place<count>(i)] = no_candidate;
    }
  }
  __syncwarp();
}

template <class Config>
__global__ void __launch_bounds__(Config::threads_per_row* Config::rows_per_block)
    fused_gate_kernel(const FusedGateKernelArgs args) {
  using L = typename Config::logits_dtype;
  using B = typename Config::bias_dtype;
  constexpr int count = experts_per_lane<Config>;
  constexpr int routed = Config::top_k - Config::num_fused_shared_experts;
  constexpr bool groups_are_lanes =
      count * 32 == Config::experts && Config::groups <= 32 && 32 % Config::groups == 0;

  __shared__ int shared_keys[Config::rows_per_block][count * 32 + 1];
  __shared__ float shared_logits[Config::rows_per_block][Config::experts];

  const RouterThread<Config> at;
  const int lane = at.thread;
  const L* logits = static_cast<const L*>(args.logits) + at.token * args.logits_stride;
  int* keys = shared_keys[at.place];
  float* kept = shared_logits[at.place];

  if (at.token < args.rows) {
    score_experts<Config>(keys, at.thread, [&](int expert) {
      const float x = load_value(logits + expert);
      kept[expert] = x;
      return ordered(biased_sigmoid(x, load_value(static_cast<const B*>(args.bias) + expert)));
    });
  }
  __syncthreads();
  if (at.token >= args.rows || lane >= 32) {
    return;
  }

  int best = no_candidate;
  if constexpr (Config::topk_group == Config::groups) {
    best = largest_key<count>(keys, lane);
  } else if constexpr (groups_are_lanes) {
    TopTwo top;
#pragma unroll 1
    for (int i = 0; i < count; ++i) {
      top.add(keys[key_place<count>(lane * count + i)]);
    }
    best = group_is_kept<Config>(top, lane) ? top.first : no_candidate;
  } else {
    keep_groups<Config>(keys, at.place, lane);
    best = largest_key<count>(keys, lane);
  }
  // What a lane has read, another may strike out.
  __syncwarp();
  const int id = choose<count>(keys, best, routed, {Config::experts + lane - routed, 0}, lane).index;

  const double score = close_sigmoid(kept[lane < routed ? id : 0]);
  double weight = lane < routed ? score : 0.0;
  const double sum = sum_of_slots<Config>(weight);
  if constexpr (Config::num_fused_shared_experts > 0) {
    // Their slots weigh as much as all routed ones, but for the factor.
    const double shared = Config::apply_scale_on_output ? sum : sum * args.factor;
    weight = lane < routed ? weight : shared;
  }
  if constexpr (Config::apply_scale_on_output) {
    weight = lane < routed ? weight * args.factor : weight;
  }
  if constexpr (Config::renormalize) {
    // The tiny term matters where all scores are 0 (logits of -infinity): weights of 0, not NaN.
    weight *= close_reciprocal(sum + 1e-290);
  }
  store_slot<Config>(args, at.token, lane, weight, id);
}

}  // namespace kerncast::moe
