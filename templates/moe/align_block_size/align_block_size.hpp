#pragma once

#include <cstdint>
#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// Groups slots by expert into blocks of B slots that share an expert, as grouped matrix products take them
/// (as vLLM's and sgl-kernel's moe_align_block_size, but stable). Slot t * K + k is the k-th expert of token
/// t. `sorted` holds, expert by expert, the expert's slots in increasing order, padded with T * K to a
/// multiple of B. A slot whose id, after expert_map, is below 0 or from E on is skipped. Past the total,
/// `sorted` is T * K and `expert` is -1. Launch with kerncast::launch or prepare, which say what is
/// asynchronous and what must live how long. A call without tokens launches too, to write the outputs.
/// Aliasing: outputs and workspace may overlap neither each other nor an input.
struct AlignBlockSize {
  static constexpr std::string_view op_name = "moe.align_block_size";

  TensorView ids;  ///< [..., K], K from 1 to 64, i32; rows may be strided
  TensorView expert_map =
      {};             ///< [experts of all ranks], i32: the expert's number on this rank, or -1; optional
  TensorView sorted;  ///< [P], i32; P a multiple of B, at least align_block_size_places()
  TensorView expert;  ///< [P / B], i32: the expert of each block
  TensorView total;   ///< [1], i32: elements of `sorted` that belong to experts
  TensorView workspace = {};  ///< [align_block_size_workspace()] or more, i32; optional if that is 0
  int experts = 1;            ///< E, from 1 to 1024
  int block = 64;             ///< B, from 1 to 1024
};

/// Elements of `sorted` that suffice for any ids: min(slots + E * (B - 1) rounded up to B, slots * B).
[[nodiscard]] KERNCAST_API std::int64_t align_block_size_places(std::int64_t slots, int experts,
                                                                int block) noexcept;

/// Elements of the workspace for `slots` slots.
[[nodiscard]] KERNCAST_API std::int64_t align_block_size_workspace(std::int64_t slots, int experts) noexcept;

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const AlignBlockSize& arguments);

}  // namespace kerncast::moe
