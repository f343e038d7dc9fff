#pragma once

#include "device/programmatic_launch.cuh"
#include "moe/fused_gate/kernel_args.h"
#include "moe/shared/router.cuh"
#include "moe/shared/scores.cuh"

namespace kerncast::moe {

/// True if all groups are kept, so that they do not matter.
template <class Config>
inline constexpr bool keeps_all = Config::topk_group == Config::groups;

/// True if each thread's experts are of one group.
template <class Config>
inline constexpr bool groups_are_threads = Config::experts % (Config::groups * held_experts<Config>) == 0;

/// Threads that hold a group, if groups_are_threads.
template <class Config>
inline constexpr int group_threads = Config::experts / Config::groups / held_experts<Config>;

/// The shared memory of the threads of a token, unless groups_are_threads.
template <class Config>
struct FusedGateToken {
  int keys[Config::experts];
  int scores[Config::groups];
};

/// The two largest keys of a group.
struct TopTwo {
  int first = no_candidate;
  int second = no_candidate;

  __device__ __forceinline__ void add(int key) {
    second = max(second, min(first, key));
    first = max(first, key);
  }
  /// The two largest of this and the lane whose number differs by the bits of `mask`.
  __device__ __forceinline__ void merge_from_lane(int mask) {
    asm volatile(
        "{ .reg .b32 f, s, l;\n  shfl.sync.bfly.b32 f, %0, %2, 31, -1;\n  shfl.sync.bfly.b32 s, %1, %2, 31, "
        "-1;\n"
        "  min.s32 l, %0, f;\n  max.s32 s, s, %1;\n  max.s32 %1, l, s;\n  max.s32 %0, %0, f; }"
        : "+r"(first), "+r"(second)
        : "r"(mask));
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

/// The score of this thread's group, if groups_are_threads. `top` has the thread's own candidates. All
/// threads of the block take part, unless the token has one warp. `scores` gets the scores of all groups.
template <class Config>
__device__ __forceinline__ void score_groups(TopTwo top, const RouterThread<Config>& at, int* scores) {
  constexpr int threads = group_threads<Config>;
  constexpr int size = Config::experts / Config::groups;
  if constexpr (threads <= 32 && power_of_two_from(threads) == threads) {
#pragma unroll
    for (int mask = threads / 2; mask > 0; mask /= 2) {
      top.merge_from_lane(mask);
    }
    if (at.has(0)) {
      scores[at.thread / threads] = top.score(size);
    }
  } else {
    __shared__ int firsts[Config::rows_per_block][Config::threads_per_row];
    __shared__ int seconds[Config::rows_per_block][Config::threads_per_row];
    firsts[at.row][at.thread] = top.first;
    seconds[at.row][at.thread] = top.second;
    sync_row<Config>();
    if (at.thread < Config::groups) {
      TopTwo all;
#pragma unroll 1
      for (unsigned i = at.thread * threads; i < (at.thread + 1) * threads; ++i) {
        all.add(firsts[at.row][i]);
        all.add(seconds[at.row][i]);
      }
      scores[at.thread] = all.score(size);
    }
  }
  sync_row<Config>();
}

/// True if the group of this thread is kept, if groups_are_threads. The arguments are those of
/// score_groups().
template <class Config>
__device__ __forceinline__ bool group_is_kept(const TopTwo& top, const RouterThread<Config>& at) {
  __shared__ int shared_scores[Config::rows_per_block][Config::groups];
  int* scores = shared_scores[at.row];
  score_groups<Config>(top, at, scores);
  const unsigned group = at.has(0) ? at.thread / group_threads<Config> : 0;
  const int score = scores[group];
  int better = 0;
#pragma unroll 1
  for (unsigned other = 0; other < Config::groups; ++other) {
    // A lower group wins a tie.
    better += scores[other] + (other < group ? 1 : 0) > score ? 1 : 0;
  }
  return better < Config::topk_group;
}

/// Strikes out the experts of all but the best groups, for groups of any size. All threads of the block take
/// part, unless the token has one warp.
template <class Config>
__device__ __forceinline__ void keep_groups(Ranked (&held)[held_experts<Config>],
                                            const RouterThread<Config>& at) {
  constexpr unsigned size = Config::experts / Config::groups;
  __shared__ FusedGateToken<Config> tokens[Config::rows_per_block];
  FusedGateToken<Config>& token = tokens[at.row];
#pragma unroll
  for (int i = 0; i < held_experts<Config>; ++i) {
    if (at.has(i)) {
      token.keys[at.first() + i] = Candidate::of(held[i]).key;
    }
  }
  sync_row<Config>();
#pragma unroll 1
  for (unsigned group = at.thread; group < Config::groups; group += Config::threads_per_row) {
    TopTwo top;
#pragma unroll 1
    for (unsigned i = 0; i < size; ++i) {
      top.add(token.keys[group * size + i]);
    }
    token.scores[group] = top.score(size);
  }
  sync_row<Config>();
#pragma unroll 1
  for (unsigned group = at.thread; group < Config::groups; group += Config::threads_per_row) {
    const int score = token.scores[group];
    int better = 0;
#pragma unroll 1
    for (unsigned other = 0; other < Config::groups; ++other) {
      better += token.scores[other] + (other < group ? 1 : 0) > score ? 1 : 0;
    }
    if (better >= Config::topk_group) {
#pragma unroll 1
      for (unsigned i = 0; i < size; ++i) {
        token.keys[group * size + i] = no_candidate;
      }
    }
  }
  sync_row<Config>();
#pragma unroll
  for (int i = 0; i < held_experts<Config>; ++i) {
    if (at.has(i) && token.keys[at.first() + i] == no_candidate) {
      held[i] = none_ranked;
    }
  }
}

template <class Config>
__global__ void __launch_bounds__(Config::threads_per_row* Config::rows_per_block)
    fused_gate_kernel(const FusedGateKernelArgs args) {
  begin_kernel();
  using L = typename Config::logits_dtype;
  using B = typename Config::bias_dtype;
  constexpr int count = held_experts<Config>;
  constexpr int routed = Config::top_k - Config::num_fused_shared_experts;

  const RouterThread<Config> at(args.rows);
  const L* logits = static_cast<const L*>(args.logits) + at.token * args.logits_stride;
  Ranked held[count];
  __shared__ KeptLogits<Config> kept[Config::rows_per_block];
  constexpr auto scoring = static_cast<Scoring>(Config::scoring);
  rank_by_score<Config, true, scoring>(held, at, logits, static_cast<const B*>(args.bias), kept[at.row]);
  if constexpr (!keeps_all<Config> && !groups_are_threads<Config>) {
    keep_groups<Config>(held, at);
  }
  sort_largest_first(held);
  if constexpr (!keeps_all<Config> && groups_are_threads<Config>) {
    const TopTwo top = {Candidate::of(held[0]).key,
                        count > 1 ? Candidate::of(held[count > 1 ? 1 : 0]).key : no_candidate};
    if (!group_is_kept<Config>(top, at)) {
#pragma unroll
      for (int i = 0; i < count; ++i) {
        held[i] = none_ranked;
      }
    }
  }
  const Candidate chosen = choose_experts<Config, routed>(held, at);
  if (row_warps<Config> > 1 && at.thread >= 32) {
    return;
  }

  const bool is_routed = at.has_slot(routed);
  const int id = is_routed ? chosen.index() : static_cast<int>(Config::experts + at.thread - routed);
  const SlotScores<scoring> scores(kept[at.row], id, is_routed);
  const Scaled sum = scores.sum();
  // A shared expert's slot has the weight of all routed slots together, times the factor.
  Scaled weight = Config::num_fused_shared_experts == 0 || is_routed ? scores.mine : sum;
  if constexpr (Config::apply_scale_on_output || Config::num_fused_shared_experts > 0) {
    const Scaled scaled = product(weight, {args.factor.value, args.factor.rest, args.factor.exponent});
    weight = is_routed == Config::apply_scale_on_output ? scaled : weight;
  }
  const float made = Config::renormalize ? share(weight, sum) : weight.rounded();
  store_slot<Config>(args, at, beside_infinity<Config::renormalize>(made, scores, is_routed), id);
}

}  // namespace kerncast::moe
