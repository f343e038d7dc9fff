#pragma once

#include <cstddef>

/// Places of the parameters and tunables in Specialisation and Tunables; qk_norm has those before rotary_dim.
namespace kerncast::norm::qk_norm_params {

enum Param : std::size_t {
  qkv_dtype,
  weight_dtype,
  q_heads,
  kv_heads,
  head_dim,
  alignment,
  unit_offset,
  rotary_dim,
  rope_style,
  position_dtype
};
enum Tunable : std::size_t { threads, slots };

}  // namespace kerncast::norm::qk_norm_params
