#pragma once

#include "device/programmatic_launch.cuh"
#include "device/sigmoid.cuh"
#include "moe/shared/router.cuh"
#include "moe/shared/topk_gate_args.h"

namespace kerncast::moe {

template <class Config>
__global__ void __launch_bounds__(Config::threads_per_row* Config::rows_per_block)
    topk_sigmoid_kernel(const TopkGateKernelArgs args) {
  begin_kernel();
  using L = typename Config::logits_dtype;
  using B = typename Config::bias_dtype;
  constexpr int count = experts_per_lane<Config>;

  __shared__ int shared_keys[Config::rows_per_block][count * 32 + 1];
  __shared__ float shared_logits[Config::rows_per_block][Config::experts];

  const RouterThread<Config> at;
  const int lane = at.thread;
  const L* logits = static_cast<const L*>(args.logits) + at.token * args.logits_stride;
  const B* bias = static_cast<const B*>(args.bias);
  int* keys = shared_keys[at.place];
  float* kept = shared_logits[at.place];

  if (at.token < args.rows) {
    score_experts<Config>(keys, at.thread, [&](int expert) {
      const float x = load_value(logits + expert);
      kept[expert] = x;
      return biased_sigmoid_key(x, Config::has_bias ? load_value(bias + expert) : 0.0f);
    });
  }
  __syncthreads();
  if (at.token >= args.rows || lane >= 32) {
    return;
  }

  const int best = largest_key<count>(keys, lane);
  // All lanes have read their keys before any lane strikes one out.
  __syncwarp();
  int id = 0;
  choose<count>(keys, best, Config::top_k, lane, [&id](const Candidate& taken) { id = taken.index; });
  double weight = lane < Config::top_k ? close_sigmoid(kept[id]) : 0.0;
  if constexpr (Config::renormalize) {
    // If all scores are 0 (logits of -infinity), the tiny term makes the weights 0 instead of NaN.
    weight *= close_reciprocal(sum_of_slots<Config>(weight) + 1e-290);
  }
  store_slot<Config>(args, at.token, lane, weight, id);
}

}  // namespace kerncast::moe
