#pragma once

#include <cstddef>

/// The parameters and tunables of norm.qk_norm and norm.qk_norm_rope. qk_norm has those before rotary_dim.
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
  position_dtype,
  angles
};
enum Tunable : std::size_t { threads, slots };

}  // namespace kerncast::norm::qk_norm_params
