#pragma once

#include <cstdint>
#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// Gathers rows by expert, for grouped matrix products: each token's row, and the scales of its quantisation,
/// is copied once per slot, y[map[t, k]] = x[t] and y_scales[map[t, k]] = scales[t]. Within an expert, slots
/// keep their order. A slot whose id is below 0 or from E on is skipped: its map is -1. Rows of y from
/// offsets[E] on keep their contents. The op follows vLLM's moe_permute; moe.unpermute is its inverse. Launch
/// with kerncast::launch or prepare, which say what is asynchronous and what must live how long. A call
/// without tokens launches too, to write the offsets.
/// Aliasing: outputs and workspace may overlap neither each other nor an input.
struct Permute {
  static constexpr std::string_view op_name = "moe.permute";

  TensorView x;            ///< [..., H], H from 1 to 65536; any type of 1, 2 or 4 bytes; rows may be strided
  TensorView ids;          ///< [..., K], K from 1 to 64, i32; rows may be strided
  TensorView y;            ///< [P, H], P at least tokens * K; type of x; rows may be strided
  TensorView offsets;      ///< [E + 1], i32: the first row of each expert, then the end of the last one
  TensorView map;          ///< shape of ids, i32: the row of y of each slot, or -1; rows may be strided
  TensorView scales = {};  ///< [..., G], any strides; any type of 1, 2 or 4 bytes; optional
  TensorView y_scales = {};   ///< [P, G], any strides; type of scales; only with scales
  TensorView workspace = {};  ///< [permute_workspace()] or more, i32; optional if that is 0
  int experts = 1;            ///< E, from 1 to 1024
};

/// Elements of the workspace for `slots` slots.
[[nodiscard]] KERNCAST_API std::int64_t permute_workspace(std::int64_t slots, int experts) noexcept;

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const Permute& arguments);

}  // namespace kerncast::moe
