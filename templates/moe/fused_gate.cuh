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
  __device__ __forceinline__ TopTwo from_lane(int mask) const { return {exchange(first, mask), exchange(second, mask)}; }
};

/// Whether the group of this lane is kept, where every group is a whole number of lanes. Each of a group's lanes compares
/// it with a part of the others.
template <class Config, int Count>
__device__ __forceinline__ bool group_is_kept(const float (&values)[Count], int lane) {
  constexpr int lanes = 32 / Config::groups;
  TopTwo top{values[0], no_candidate()};
#pragma unroll
  for (int i = 1; i < Count; ++i) {
    top.add(values[i]);
  }
  top = reduce_lanes<lanes>(top);
  const int key = ordered(candidate(Config::experts > Config::groups ? top.first + top.second : top.first));
  int better = 0;
#pragma unroll
  for (int first = 0; first < Config::groups; first += lanes) {
    const int other = first + lane % lanes;
    const int other_key = __shfl_sync(0xffffffffu, key, other * lanes);
    // A lower group wins a tie.
    const bool beaten = other_key + (other < lane / lanes ? 1 : 0) > key;
    better += beaten && (lanes <= Config::groups || other < Config::groups) ? 1 : 0;
  }
#pragma unroll
  for (int mask = lanes / 2; mask > 0; mask /= 2) {
    better += __shfl_xor_sync(0xffffffffu, better, mask);
  }
  return better < Config::topk_group;
}

/// Strikes out the candidates of all but the best groups, whatever their size.
template <class Config, int Count>
__device__ __forceinline__ void keep_groups(float (&candidates)[Count], float* values, int lane) {
  constexpr int size = Config::experts / Config::groups;
  __shared__ float shared_scores[Config::threads / 32][Config::groups];
  float* scores = shared_scores[threadIdx.x / 32];
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    if (lane * Count + i < Config::experts) {
      values[lane * Count + i] = candidates[i];
    }
  }
  __syncwarp();
#pragma unroll 1
  for (int group = lane; group < Config::groups; group += 32) {
    TopTwo top{values[group * size], no_candidate()};
#pragma unroll 1
    for (int i = 1; i < size; ++i) {
      top.add(values[group * size + i]);
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
      values[group * size + i] = no_candidate();
    }
  }
  __syncwarp();
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    if (lane * Count + i < Config::experts) {
      candidates[i] = values[lane * Count + i];
    }
  }
}

/// One token by one warp. Lane l scores ceil(experts / 32) consecutive experts; slot k is lane k's.
template <class Config>
__global__ void __launch_bounds__(Config::threads) fused_gate_kernel(const FusedGateKernelArgs args) {
  using L = typename Config::logits_dtype;
  using B = typename Config::bias_dtype;
  constexpr int count = (Config::experts + 31) / 32;
  constexpr int width = greatest_common_divisor(
      greatest_common_divisor(Config::alignment / static_cast<int>(sizeof(L)), count), Config::experts);
  constexpr int routed = Config::top_k - Config::num_fused_shared_experts;
  constexpr bool groups_are_lanes =
      count * 32 == Config::experts && Config::groups <= 32 && 32 % Config::groups == 0;

  __shared__ __align__(16) float shared_values[Config::threads / 32][count * 32];

  const int lane = threadIdx.x % 32;
  const long long token = linear_block() * (Config::threads / 32) + threadIdx.x / 32;
  if (token >= args.rows) {
    return;
  }
  const L* logits = static_cast<const L*>(args.logits) + token * args.logits_stride;
  const B* bias = static_cast<const B*>(args.bias);
  float* values = shared_values[threadIdx.x / 32];

  float candidates[count];
#pragma unroll
  for (int i = 0; i < count; i += width) {
    const int expert = lane * count + i;
    float scores[width];
    float biases[width];
    const bool present = count * 32 == Config::experts || expert < Config::experts;
    if (present) {
      load_values<L, width>(logits + expert, scores);
      load_values<B, width>(bias + expert, biases);
    }
#pragma unroll
    for (int j = 0; j < width; ++j) {
      candidates[i + j] = present ? candidate(fast_sigmoid(scores[j]) + biases[j]) : no_candidate();
    }
  }
  bool excluded = false;
  if constexpr (Config::topk_group < Config::groups) {
    if constexpr (groups_are_lanes) {
      excluded = !group_is_kept<Config>(candidates, lane);
    } else {
      keep_groups<Config>(candidates, values, lane);
    }
  }

  float largest = candidates[0];
#pragma unroll
  for (int i = 1; i < count; ++i) {
    largest = fmaxf(largest, candidates[i]);
  }
  int best = ordered(excluded ? no_candidate() : largest);
  constexpr int stored = greatest_common_divisor(count, 4);
#pragma unroll
  for (int i = 0; i < count; i += stored) {
    store_values<float, stored>(values + lane * count + i, candidates + i);
  }
  __syncwarp();
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
