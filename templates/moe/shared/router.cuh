#pragma once

#include "device/index.cuh"
#include "device/reduce.cuh"
#include "device/scalar.cuh"
#include "device/topk.cuh"

/// The device side of all routers. threads_per_row threads, a whole number of warps, share a token. All of
/// them score experts, then the first warp chooses: its lane l holds ceil(experts / 32) consecutive experts,
/// and lane k writes slot k.
namespace kerncast::moe {

/// Experts that a lane of the first warp holds.
template <class Config>
inline constexpr int experts_per_lane = (Config::experts + 31) / 32;

/// The token of this thread, and the thread's number among those that share the token.
template <class Config>
struct RouterThread {
  static constexpr bool alone = Config::rows_per_block == 1;
  int thread = alone ? threadIdx.x : threadIdx.x % Config::threads_per_row;
  unsigned place = alone ? 0 : threadIdx.x / Config::threads_per_row;  ///< the token's number in the block
  long long token = linear_block() * Config::rows_per_block + place;
};

/// Writes the keys of a token's experts, key(expert), to shared memory. no_candidate fills up the last lane's
/// experts and follows them.
template <class Config, class Key>
__device__ __forceinline__ void score_experts(int* keys, int thread, const Key& key) {
  constexpr int places = experts_per_lane<Config> * 32;
  constexpr int turns = (places + Config::threads_per_row - 1) / Config::threads_per_row;
#pragma unroll 1
  for (int turn = 0; turn < turns; ++turn) {
    const int expert = thread + turn * Config::threads_per_row;
    int value = no_candidate;
    if (turns * Config::threads_per_row == Config::experts || expert < Config::experts) {
      value = key(expert);
    }
    if (turns * Config::threads_per_row == places || expert < places) {
      keys[key_place<experts_per_lane<Config>>(expert)] = value;
    }
  }
  if (experts_per_lane<Config> < 32 && thread == 0) {
    keys[places] = no_candidate;
  }
}

/// Sum over the slots. `mine` is the value of the lane's slot; lanes without a slot pass 0.
template <class Config>
__device__ __forceinline__ double sum_of_slots(double mine) {
#pragma unroll
  for (int mask = 1; mask < Config::top_k; mask *= 2) {
    mine += exchange(mine, mask);
  }
  return mine;
}

/// Writes the lane's slot, if it has one.
template <class Config, class Args>
__device__ __forceinline__ void store_slot(const Args& args, long long token, int lane, double weight,
                                           int id) {
  if (lane < Config::top_k) {
    args.weights[token * args.weights_stride + lane] = static_cast<float>(weight);
    args.ids[token * args.ids_stride + lane] = id;
  }
}

}  // namespace kerncast::moe
