#pragma once

#include <cstdint>

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// Groups the slots (flat index t * K + k) of a token's experts into blocks of B that share an expert, as
/// grouped matrix products take them. Per expert in order: its slots, increasing, padded with T * K to a
/// multiple of B. Slots whose id (or what the map makes of it) is below 0 or from E on are skipped. What of
/// `sorted` lies past the total is T * K, its blocks' expert -1.
struct AlignBlockSize {
  TensorView ids;         ///< [..., K], K from 1 to 64, i32; rows may be strided
  TensorView expert_map;  ///< [E of all ranks], i32: the expert on this rank, or -1; optional
  TensorView sorted;      ///< [P], i32; P a multiple of B, at least align_block_size_places()
  TensorView expert;      ///< [P / B], i32
  TensorView total;       ///< [1], i32: elements of `sorted` that belong to experts
  TensorView workspace;   ///< [align_block_size_workspace()] or more, i32; where that is 0: optional
  int experts = 1;        ///< E, from 1 to 1024
  int block = 64;         ///< B, from 1 to 1024
};

/// Elements of `sorted` that suffice for any ids: min(slots + E * (B - 1) rounded up to B, slots * B).
[[nodiscard]] KERNCAST_API std::int64_t align_block_size_places(std::int64_t slots, int experts,
                                                                int block) noexcept;

/// Elements of the workspace for `slots` slots.
[[nodiscard]] KERNCAST_API std::int64_t align_block_size_workspace(std::int64_t slots, int experts) noexcept;

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& align_block_size_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call align_block_size_call(const AlignBlockSize& arguments);

/// Launches on `stream`; no tokens too, for the outputs say so. Throws Error.
KERNCAST_API void align_block_size(Runtime& runtime, const AlignBlockSize& arguments, Stream stream);

/// Resolves the kernels and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_align_block_size(Runtime& runtime,
                                                                   const AlignBlockSize& arguments);

}  // namespace kerncast::moe
