#pragma once

#include "device/programmatic_launch.cuh"
#include "device/sigmoid.cuh"
#include "moe/fused_gate/kernel_args.h"
#include "moe/shared/router.cuh"

namespace kerncast::moe {

/// True if every group is held by a whole number of lanes.
template <class Config>
inline constexpr bool groups_are_lanes =
    Config::experts % 32 == 0 && Config::groups <= 32 && 32 % Config::groups == 0;

/// The shared memory of the threads of a token.
template <class Config>
struct FusedGateToken {
  static constexpr int scored_groups = groups_are_lanes<Config> ? 1 : Config::groups;

  int keys[experts_per_lane<Config> * 32 + 1];
  float logits[Config::experts];
  int scores[scored_groups];
  int limits[scored_groups];  ///< upper limit of the keys in a group: no_candidate strikes the group out
};

/// The two largest keys of a group.
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

  /// The score of a group of `size` experts: the key of the sum, never NaN. A sum that no float holds has a
  /// key beyond those of all floats; NaN and -infinity, which count as the least float, give the least key.
  __device__ __forceinline__ int score(int size) const {
    if (size == 1) {
      return first;
    }
    // It is one block of PTX, which shortens the compile. Half of a sum past the floats has an exponent less
    // than the sum would have, and its key moves on by one exponent. One more than a key must not overflow.
    int score;
    asm("{ .reg .b32 a, b, k;\n  .reg .f32 f, g, h;\n  .reg .pred past, least;\n"
        "  shr.s32 a, %1, 31;\n  shr.s32 b, %2, 31;\n"
        "  and.b32 a, a, 0x7fffffff;\n  and.b32 b, b, 0x7fffffff;\n  xor.b32 a, a, %1;\n  xor.b32 b, b, %2;\n"
        "  mov.b32 f, a;\n  mov.b32 g, b;\n  mul.f32 h, g, 0f3F000000;\n  fma.rn.f32 h, f, 0f3F000000, h;\n"
        "  min.f32 h, h, 0f7F7FFFFF;\n  add.f32 f, f, g;\n  abs.f32 g, f;\n"
        "  setp.gt.f32 past, g, 0f7F7FFFFF;\n  selp.f32 f, h, f, past;\n  mov.b32 a, f;\n"
        "  shr.s32 b, a, 31;\n  or.b32 k, b, 1;\n  shl.b32 k, k, 23;\n  selp.b32 k, k, 0, past;\n"
        "  and.b32 b, b, 0x7fffffff;\n  xor.b32 a, a, b;\n  add.s32 a, a, k;\n  min.s32 a, a, 0x7ffffffe;\n"
        "  setp.eq.s32 least, %2, 0x80800000;\n  selp.b32 %0, 0x80000001, a, least; }"
        : "=r"(score)
        : "r"(first), "r"(second));
    return score;
  }
};

/// True if the group of this lane is kept, if groups_are_lanes. `top` has the lane's own candidates.
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

/// Strikes out the candidates of all but the best groups, for groups of any size, and returns the lane's
/// largest remaining key. One warp calls it.
template <class Config>
__device__ __forceinline__ int keep_groups(FusedGateToken<Config>& token, unsigned lane) {
  constexpr unsigned size = Config::experts / Config::groups;
  constexpr unsigned count = experts_per_lane<Config>;
#pragma unroll 1
  for (unsigned group = lane; group < Config::groups; group += 32) {
    TopTwo top;
#pragma unroll 1
    for (unsigned i = 0; i < size; ++i) {
      top.add(token.keys[key_place<count>(group * size + i)]);
    }
    token.scores[group] = top.score(size);
  }
  __syncwarp();
#pragma unroll 1
  for (unsigned group = lane; group < Config::groups; group += 32) {
    const int score = token.scores[group];
    int better = 0;
#pragma unroll 1
    for (unsigned other = 0; other < Config::groups; ++other) {
      better += token.scores[other] + (other < group ? 1 : 0) > score ? 1 : 0;
    }
    token.limits[group] = better < Config::topk_group ? 0x7fffffff : no_candidate;
  }
  __syncwarp();
  int best = no_candidate;
#pragma unroll 1
  for (unsigned i = 0; i < count; ++i) {
    const unsigned expert = lane * count + i;
    int* key = token.keys + key_place<count>(expert);
    *key = min(*key, token.limits[min(expert / size, Config::groups - 1u)]);
    best = max(best, *key);
  }
  return best;
}

template <class Config>
__global__ void __launch_bounds__(Config::threads_per_row* Config::rows_per_block)
    fused_gate_kernel(const FusedGateKernelArgs args) {
  begin_kernel();
  using L = typename Config::logits_dtype;
  using B = typename Config::bias_dtype;
  constexpr int count = experts_per_lane<Config>;
  constexpr int routed = Config::top_k - Config::num_fused_shared_experts;
  __shared__ FusedGateToken<Config> tokens[Config::rows_per_block];

  const RouterThread<Config> at;
  const int lane = at.thread;
  const L* logits = static_cast<const L*>(args.logits) + at.token * args.logits_stride;
  FusedGateToken<Config>& token = tokens[at.place];
  int* keys = token.keys;

  if (at.token < args.rows) {
    score_experts<Config>(keys, at.thread, [&](int expert) {
      const float x = load_value(logits + expert);
      token.logits[expert] = x;
      return biased_sigmoid_key(x, load_value(static_cast<const B*>(args.bias) + expert));
    });
  }
  __syncthreads();
  if (at.token >= args.rows || lane >= 32) {
    return;
  }

  int best = no_candidate;
  if constexpr (Config::topk_group == Config::groups) {
    best = largest_key<count>(keys, lane);
  } else if constexpr (groups_are_lanes<Config>) {
    TopTwo top;
#pragma unroll 1
    for (int i = 0; i < count; ++i) {
      top.add(keys[key_place<count>(lane * count + i)]);
    }
    best = group_is_kept<Config>(top, lane) ? top.first : no_candidate;
  } else {
    best = keep_groups<Config>(token, lane);
  }
  // All lanes have read their keys before any lane strikes one out.
  __syncwarp();
  int id = Config::experts + lane - routed;
  choose<count>(keys, best, routed, lane, [&id](const Candidate& taken) { id = taken.index; });

  const double score = close_sigmoid(token.logits[lane < routed ? id : 0]);
  double weight = lane < routed ? score : 0.0;
  const double sum = sum_of_slots<Config>(weight);
  if constexpr (Config::num_fused_shared_experts > 0) {
    // A shared expert's slot has the weight of all routed slots together, times the factor.
    const double shared = Config::apply_scale_on_output ? sum : sum * args.factor;
    weight = lane < routed ? weight : shared;
  }
  if constexpr (Config::apply_scale_on_output) {
    weight = lane < routed ? weight * args.factor : weight;
  }
  if constexpr (Config::renormalize) {
    // If all scores are 0 (logits of -infinity), the tiny term makes the weights 0 instead of NaN.
    weight *= close_reciprocal(sum + 1e-290);
  }
  store_slot<Config>(args, at.token, lane, weight, id);
}

}  // namespace kerncast::moe
