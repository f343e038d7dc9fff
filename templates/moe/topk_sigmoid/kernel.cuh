#pragma once

#include "device/functions/sigmoid.cuh"
#include "device/programmatic_launch.cuh"
#include "moe/shared/router.cuh"
#include "moe/shared/scores.cuh"
#include "moe/shared/topk_gate_args.h"

namespace kerncast::moe {

template <class Config>
__global__ void __launch_bounds__(Config::threads_per_row* Config::rows_per_block)
    topk_sigmoid_kernel(const TopkGateKernelArgs args) {
  begin_kernel();
  using L = typename Config::logits_dtype;
  using B = typename Config::bias_dtype;

  const RouterThread<Config> at(args.rows);
  const L* logits = static_cast<const L*>(args.logits) + at.token * args.logits_stride;
  Ranked held[held_experts<Config>];
  __shared__ KeptLogits<Config> kept[Config::rows_per_block];
  rank_by_score<Config, Config::has_bias, Scoring::sigmoid>(held, at, logits,
                                                            static_cast<const B*>(args.bias), kept[at.row]);
  sort_largest_first(held);
  const Candidate chosen = choose_experts<Config, Config::top_k>(held, at);
  if (row_warps<Config> > 1 && at.thread >= 32) {
    return;
  }

  const int id = chosen.index();
  const SlotScores<Scoring::sigmoid> scores(kept[at.row], id, at.has_slot(Config::top_k));
  float weight = scores.mine.rounded();
  if constexpr (Config::renormalize) {
    weight = share(scores.mine, scores.sum());
  }
  store_slot<Config>(args, at, weight, id);
}

}  // namespace kerncast::moe
