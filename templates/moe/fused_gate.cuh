#pragma once

#include "device/index.cuh"
#include "device/pair.cuh"
#include "device/reduce.cuh"
#include "device/sigmoid.cuh"
#include "device/topk.cuh"
#include "device/vec.cuh"
#include "moe/fused_gate_args.h"

namespace kerncast::moe {

/// The two largest values of a group. NaN counts as the least.
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

__device__ __forceinline__ float least_float() { return __uint_as_float(0xff800000u); }

template <int Size>
__device__ __forceinline__ unsigned group_key(const TopTwo& top) {
  return ordered_key(Size > 1 ? top.first + top.second : top.first);
}

/// Strikes out the candidates of all but the best groups, where every group is a whole number of lanes.
template <class Config, int Count>
__device__ __forceinline__ void keep_groups_by_lanes(Candidates<Count>& candidates, const float (&choice)[Count]) {
  constexpr int lanes = 32 / Config::groups;
  TopTwo top{least_float(), least_float()};
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    top.add(choice[i]);
  }
  top = reduce_lanes<lanes>(top);
  const unsigned mine = group_key<Config::experts / Config::groups>(top);
  const int group = threadIdx.x % 32 / lanes;
  int better = 0;
#pragma unroll 4
  for (int other = 0; other < Config::groups; ++other) {
    const unsigned key = __shfl_sync(0xffffffffu, mine, other * lanes);
    better += key > mine || (key == mine && other < group) ? 1 : 0;
  }
  if (better >= Config::topk_group) {
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      candidates.keys[i] = 0;
    }
  }
}

/// As above for groups of any size, through shared memory.
template <class Config, int Count>
__device__ __forceinline__ void keep_groups_by_memory(Candidates<Count>& candidates, const float (&choice)[Count]) {
  constexpr int size = Config::experts / Config::groups;
  constexpr int rounds = (Config::groups + 31) / 32;
  __shared__ float shared_choices[Config::threads / 32][Config::experts];
  __shared__ unsigned shared_keys[Config::threads / 32][Config::groups];
  float* choices = shared_choices[threadIdx.x / 32];
  unsigned* keys = shared_keys[threadIdx.x / 32];
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    if (lane * Count + i < Config::experts) {
      choices[lane * Count + i] = choice[i];
    }
  }
  __syncwarp();
  for (int group = lane; group < Config::groups; group += 32) {
    TopTwo top{least_float(), least_float()};
    for (int i = 0; i < size; ++i) {
      top.add(choices[group * size + i]);
    }
    keys[group] = group_key<size>(top);
  }
  __syncwarp();
  unsigned kept = 0;
  for (int round = 0; round < rounds; ++round) {
    const int group = round * 32 + lane;
    if (group < Config::groups) {
      const unsigned mine = keys[group];
      int better = 0;
      for (int other = 0; other < Config::groups; ++other) {
        better += keys[other] > mine || (keys[other] == mine && other < group) ? 1 : 0;
      }
      kept |= better < Config::topk_group ? 1u << round : 0u;
    }
  }
  __syncwarp();
  for (int round = 0; round < rounds; ++round) {
    if (round * 32 + lane < Config::groups) {
      keys[round * 32 + lane] = kept >> round & 1u;
    }
  }
  __syncwarp();
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    const int expert = lane * Count + i;
    if (expert < Config::experts && keys[expert / size] == 0) {
      candidates.keys[i] = 0;
    }
  }
}

/// One token by one warp; lane l scores ceil(experts / 32) consecutive experts, and slot k is lane k's.
template <class Config>
__global__ void __launch_bounds__(Config::threads) fused_gate_kernel(const FusedGateKernelArgs args) {
  using L = typename Config::logits_dtype;
  using B = typename Config::bias_dtype;
  constexpr int count = (Config::experts + 31) / 32;
  constexpr int width = greatest_common_divisor(
      greatest_common_divisor(Config::alignment / static_cast<int>(sizeof(L)), count), Config::experts);
  constexpr int routed = Config::top_k - Config::num_fused_shared_experts;

  const int lane = threadIdx.x % 32;
  const long long token = linear_block() * (Config::threads / 32) + threadIdx.x / 32;
  if (token >= args.rows) {
    return;
  }
  const L* logits = static_cast<const L*>(args.logits) + token * args.logits_stride;
  const B* bias = static_cast<const B*>(args.bias);

  Candidates<count> candidates;
  float choice[count];
#pragma unroll
  for (int i = 0; i < count; i += width) {
    const int expert = lane * count + i;
    const bool present = count * 32 == Config::experts || expert < Config::experts;
    float scores[width] = {};
    float biases[width] = {};
    if (present) {
      load_values<L, width>(logits + expert, scores);
      load_values<B, width>(bias + expert, biases);
    }
#pragma unroll
    for (int j = 0; j < width; ++j) {
      choice[i + j] = fast_sigmoid(scores[j]) + biases[j];
      candidates.keys[i + j] = present ? ordered_key(choice[i + j]) : 0u;
    }
  }
  if constexpr (Config::topk_group < Config::groups) {
    if constexpr (count * 32 == Config::experts && Config::groups <= 32 && 32 % Config::groups == 0) {
      keep_groups_by_lanes<Config>(candidates, choice);
    } else {
      keep_groups_by_memory<Config>(candidates, choice);
    }
  }

  int id = Config::experts + lane - routed;
  candidates.refresh();
#pragma unroll 1
  for (int k = 0; k < routed; ++k) {
    const int taken = candidates.take();
    id = lane == k ? taken : id;
  }

  PairSum sum;
  Pair weight{0.0f, 0.0f};
  if (lane < routed) {
    float logit[1];
    load_values<L, 1>(logits + id, logit);
    weight = exact_sigmoid(logit[0]);
    sum.pair = weight;
  }
  sum = reduce_lanes<32>(sum);
  const float factor = args.routed_scaling_factor;
  Pair divisor{1.0f, 0.0f};
  if (lane >= routed) {
    weight = Config::renormalize ? Pair{1.0f, 0.0f} : sum.pair;
    divisor.value = Config::apply_scale_on_output ? 1.0f : factor;
  } else if (Config::renormalize) {
    // All scores 0 (logits of -infinity): weights of 0, not NaN.
    divisor = sum.pair.value == 0.0f ? divisor : sum.pair;
  }
  weight = divide(weight, divisor);
  const float scale = Config::apply_scale_on_output && lane < routed ? factor : 1.0f;
  if (lane < Config::top_k) {
    args.weights[token * args.weights_stride + lane] = multiply_add_exact(weight.value, scale, weight.rest * scale);
    args.ids[token * args.ids_stride + lane] = id;
  }
}

}  // namespace kerncast::moe
