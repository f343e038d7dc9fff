#pragma once

#include "device/index.cuh"
#include "device/reduce.cuh"
#include "device/sigmoid.cuh"
#include "device/topk.cuh"
#include "device/vec.cuh"
#include "moe/fused_gate_args.h"

namespace kerncast::moe {

/// The two largest of a group's candidates.
struct TopTwo {
  float first;
  float second;

  __device__ __forceinline__ void add(float value) {
    second = fmaxf(second, fminf(first, value));
    first = fmaxf(first, value);
  }
  __device__ __forceinline__ void merge(const TopTwo& other) {
    second = fmaxf(fminf(first, other.first), fmaxf(second, other.second));
    first = fmaxf(first, other.first);
  }
  __device__ __forceinline__ TopTwo from_lane(int mask) const {
    return {exchange(first, mask), exchange(second, mask)};
  }
};

/// Whether the group of this lane is kept, where every group is a whole number of lanes; `top` is of the
/// lane's own candidates.
template <class Config>
__device__ __forceinline__ bool group_is_kept(TopTwo top, int lane) {
  constexpr int lanes = 32 / Config::groups;
  top = reduce_lanes<lanes>(top);
  const int key = ordered(candidate(Config::experts > Config::groups ? top.first + top.second : top.first));
  int better = 0;
#pragma unroll 1
  for (int other = 0; other < 32; other += lanes) {
    // A lower group wins a tie.
    better += __shfl_sync(0xffffffffu, key, other) + (other + lanes <= lane ? 1 : 0) > key ? 1 : 0;
  }
  return better < Config::topk_group;
}

/// Strikes out the candidates of all but the best groups, whatever their size, by one warp.
template <class Config>
__device__ __forceinline__ void keep_groups(float* candidates, int lane) {
  constexpr int size = Config::experts / Config::groups;
  __shared__ float shared_scores[Config::rows_per_block][Config::groups];
  float* scores = shared_scores[threadIdx.x / Config::threads_per_row];
#pragma unroll 1
  for (int group = lane; group < Config::groups; group += 32) {
    TopTwo top{no_candidate(), no_candidate()};
#pragma unroll 1
    for (int i = 0; i < size; ++i) {
      top.add(candidates[group * size + i]);
    }
    scores[group] = candidate(size > 1 ? top.first + top.second : top.first);
  }
  __syncwarp();
#pragma unroll 1
  for (int group = lane; group < Config::groups; group += 32) {
    const float mine = scores[group];
    int better = 0;
#pragma unroll 1
    for (int other = 0; other < Config::groups; ++other) {
      better += scores[other] > mine || (scores[other] == mine && other < group) ? 1 : 0;
    }
#pragma unroll 1
    for (int i = 0; i < size && better >= Config::topk_group; ++i) {
      candidates[group * size + i] = no_candidate();
    }
  }
  __syncwarp();
}

/// One token by threads_per_row threads, a whole number of warps. All of them score, then the first warp
/// chooses: there lane l answers for ceil(experts / 32) consecutive experts, and slot k is lane k's.
template <class Config>
__global__ void __launch_bounds__(Config::threads_per_row* Config::rows_per_block)
    fused_gate_kernel(const FusedGateKernelArgs args) {
  using L = typename Config::logits_dtype;
  using B = typename Config::bias_dtype;
  constexpr int count = (Config::experts + 31) / 32;
  constexpr int routed = Config::top_k - Config::num_fused_shared_experts;
  constexpr int per_row = Config::threads_per_row;
  constexpr bool groups_are_lanes =
      count * 32 == Config::experts && Config::groups <= 32 && 32 % Config::groups == 0;

  __shared__ float shared_values[Config::rows_per_block][count * 32 + 1];

  const int thread = threadIdx.x % per_row;
  const long long token = linear_block() * Config::rows_per_block + threadIdx.x / per_row;
  const L* logits = static_cast<const L*>(args.logits) + token * args.logits_stride;
  float* values = shared_values[threadIdx.x / per_row];

  if (token < args.rows) {
    constexpr int turns = (count * 32 + per_row - 1) / per_row;
#pragma unroll 1
    for (int turn = 0; turn < turns; ++turn) {
      const int expert = thread + turn * per_row;
      float value = no_candidate();
      if (turns * per_row == Config::experts || expert < Config::experts) {
        value = biased_sigmoid(load_value(logits + expert),
                               load_value(static_cast<const B*>(args.bias) + expert));
      }
      if (turns * per_row == count * 32 || expert < count * 32) {
        values[expert] = value;
      }
    }
    if (thread == 0) {
      values[count * 32] = no_candidate();
    }
  }
  __syncthreads();
  if (token >= args.rows || thread >= 32) {
    return;
  }

  const int lane = thread;
  constexpr bool some_groups = Config::topk_group < Config::groups;
  if constexpr (some_groups && !groups_are_lanes) {
    keep_groups<Config>(values, lane);
  }
  TopTwo top{no_candidate(), no_candidate()};
#pragma unroll 1
  for (int i = 0; i < count; ++i) {
    top.add(values[lane * count + i]);
  }
  float largest = top.first;
  if constexpr (some_groups && groups_are_lanes) {
    largest = group_is_kept<Config>(top, lane) ? largest : no_candidate();
  }
  // What a lane has read, another may strike out.
  __syncwarp();
  int best = ordered(largest);
  int id = Config::experts + lane - routed;
#pragma unroll 1
  for (int k = 0; k < routed; ++k) {
    const int taken = take_largest<count>(values, best, lane);
    id = lane == k ? taken : id;
  }

  const double score = close_sigmoid(load_value(logits + (lane < routed ? id : 0)));
  double weight = lane < routed ? score : 0.0;
  double sum = weight;
#pragma unroll
  for (int mask = 1; mask < Config::top_k; mask *= 2) {
    sum += exchange(sum, mask);
  }
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
  if (lane < Config::top_k) {
    args.weights[token * args.weights_stride + lane] = static_cast<float>(weight);
    args.ids[token * args.ids_stride + lane] = id;
  }
}

}  // namespace kerncast::moe
