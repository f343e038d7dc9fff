#pragma once

#include "device/functions/exponential.cuh"
#include "device/programmatic_launch.cuh"
#include "device/quantisation/scaled.cuh"
#include "moe/shared/router.cuh"
#include "moe/shared/topk_gate_args.h"

namespace kerncast::moe {

/// True if the key of an expert determines its value exactly.
template <class Config>
inline constexpr bool key_is_value = !Config::has_bias && !Config::softcap;

/// The value that enters the softmax, from a logit and its bias: the logit, or else half of the sum, which no
/// float overflows, and its rounding error.
template <class Config>
__device__ __forceinline__ Pair exponent(float x, float bias, const TopkGateKernelArgs& args) {
  if constexpr (key_is_value<Config>) {
    return {x, 0.0f};
  }
  Pair half;
  if constexpr (Config::softcap) {
    double value = args.softcap * close_tanh(x * args.inverse_softcap);
    value = 0.5 * (Config::has_bias ? value + bias : value);
    half.value = static_cast<float>(value);
    half.rest = static_cast<float>(value - half.value);
  } else {
    half = exact_sum(0.5f * x, 0.5f * bias);
  }
  // f64 has no more bits of the sum. Infinity has no rest.
  half.rest = fabsf(half.rest) >= 0x1p-53f * fabsf(half.value) ? half.rest : 0.0f;
  return half;
}

/// exp(v - most) of two values in the form of exponent().
template <class Config>
__device__ __forceinline__ Scaled exp_below(const Pair& v, const Pair& most) {
  constexpr float least = -120.0f;
  Pair below = exact_sum(v.value, -most.value);
  // Infinity has no rest.
  below.rest = below.value > least ? below.rest : 0.0f;
  if constexpr (!key_is_value<Config>) {
    below = exact_sum(below.value, below.rest + (v.rest - most.rest));
    below = {2.0f * below.value, 2.0f * below.rest};
    below.rest = below.value > least ? below.rest : 0.0f;
  }
  return scaled_exp({fmaxf(below.value, least), below.rest});
}

/// The largest value of the token and the sum of exp(v - most) over its experts.
struct Softmax {
  Pair most;
  Pair units;  ///< the sum in units of 2^-20
};

/// The softmax over all experts. `held` are the thread's experts in order, and `values` their values as they
/// were loaded. All threads of the block take part, unless the token has one warp.
template <class Config>
__device__ __forceinline__ Softmax softmax_of_all(const Ranked (&held)[held_experts<Config>],
                                                  const Pair (&values)[held_experts<Config>],
                                                  const RouterThread<Config>& at) {
  constexpr int row = Config::threads_per_row;
  constexpr int block = row * Config::rows_per_block;
  Pair most = {unordered(reduce_warps<row, block, 0>(LargestInt{warp_max(Candidate::of(held[0]).key)}).value),
               0.0f};
  if constexpr (!key_is_value<Config>) {
    int rest = no_candidate;
#pragma unroll
    for (int i = 0; i < held_experts<Config>; ++i) {
      rest = at.has(i) && values[i].value == most.value ? max(rest, ordered(values[i].rest)) : rest;
    }
    most.rest = unordered(reduce_warps<row, block, 1>(LargestInt{warp_max(rest)}).value);
  }
  UnitSum sum;
#pragma unroll
  for (int i = 0; i < held_experts<Config>; ++i) {
    const Scaled term = at.has(i) ? exp_below<Config>(values[i], most) : Scaled{0.0f, 0.0f, 0};
    sum.add(term, term.exponent);
  }
  sum = reduce_warps<row, block, 2>(sum.over_warp());
  return {most, sum.units(held_experts<Config> * row)};
}

template <class Config>
__global__ void __launch_bounds__(Config::threads_per_row* Config::rows_per_block)
    topk_softmax_kernel(const TopkGateKernelArgs args) {
  begin_kernel();
  using L = typename Config::logits_dtype;
  using B = typename Config::bias_dtype;
  constexpr int count = held_experts<Config>;

  const RouterThread<Config> at(args.rows);
  const L* logits = static_cast<const L*>(args.logits) + at.token * args.logits_stride;
  const B* bias = static_cast<const B*>(args.bias);

  Ranked held[count];
  Pair values[count];
  bool nan = false;
  float x[count];
  float offsets[count];
  load_held(logits, at, x);
  if constexpr (Config::has_bias) {
    load_held(bias, at, offsets);
  }
#pragma unroll
  for (int i = 0; i < count; ++i) {
    values[i] = exponent<Config>(x[i], Config::has_bias ? offsets[i] : 0.0f, args);
    nan = nan || (at.has(i) && values[i].value != values[i].value);
    held[i] = at.has(i) ? Candidate{key_of(values[i].value), at.place_of_first() - i}.ranked() : none_ranked;
  }
  sort_largest_first(held);
  Softmax all;
  if constexpr (!Config::renormalize) {
    all = softmax_of_all<Config>(held, values, at);
  }
  // One NaN makes the weights of the whole row NaN.
  nan = reduce_warps<Config::threads_per_row, Config::threads_per_row * Config::rows_per_block, 3>(
            LargestInt{__any_sync(0xffffffffu, nan)})
            .value != 0;
  const Candidate chosen = choose_experts<Config, Config::top_k>(held, at);
  if (row_warps<Config> > 1 && at.thread >= 32) {
    return;
  }

  const int id = chosen.index();
  const bool has_slot = at.has_slot(Config::top_k);
  Pair value = {unordered(chosen.key), 0.0f};
  if constexpr (!key_is_value<Config>) {
    const unsigned from = has_slot ? id : 0;
    value =
        exponent<Config>(load_value(logits + from), Config::has_bias ? load_value(bias + from) : 0.0f, args);
  }
  if constexpr (Config::renormalize) {
    all.most = {__shfl_sync(0xffffffffu, unordered(chosen.key), 0), 0.0f};
    if constexpr (!key_is_value<Config>) {
      all.most.rest =
          unordered(warp_max(has_slot && value.value == all.most.value ? ordered(value.rest) : no_candidate));
    }
  }
  const Scaled part = exp_below<Config>(value, all.most);
  if constexpr (Config::renormalize) {
    UnitSum sum;
    sum.add(part, has_slot ? part.exponent : -100);
    all.units = sum.over_warp().units(32);
  }
  const Pair made = quotient({part.value, part.rest}, all.units);
  // The largest value is infinite if the sum has infinity minus infinity.
  const bool finite = fabsf(all.most.value) <= 3.40282347e38f;
  const float weight = times_power_of_two(made.value + made.rest, part.exponent + 20);
  store_slot<Config>(args, at, nan || !finite ? unordered(nan_key) : weight, id);
}

}  // namespace kerncast::moe
