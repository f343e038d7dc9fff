#pragma once

#include <cstdint>

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::moe {

/// Gathers each token's row, and its quantisation's scales, once per slot, grouped by expert: y[map[t, k]] =
/// x[t]. Within an expert slots keep their order. Slots whose id is below 0 or from E on are skipped: their
/// map is -1, and rows of y from offsets[E] on are left alone.
struct Permute {
  TensorView x;          ///< [..., H]; any type of 1, 2 or 4 bytes; rows may be strided
  TensorView ids;        ///< [..., K], K from 1 to 64, i32; rows may be strided
  TensorView y;          ///< [P, H], P at least tokens * K; type of x
  TensorView offsets;    ///< [E + 1], i32: the first row of each expert, and the end
  TensorView map;        ///< shape of ids, i32: the row of y of each slot, or -1
  TensorView scales;     ///< [..., G], any strides; any type of 1, 2 or 4 bytes; optional
  TensorView y_scales;   ///< [P, G], any strides; type of scales; with scales only
  TensorView workspace;  ///< [permute_workspace()] or more, i32; where that is 0: optional
  int experts = 1;       ///< E, from 1 to 1024
};

/// Elements of the workspace for `slots` slots.
[[nodiscard]] KERNCAST_API std::int64_t permute_workspace(std::int64_t slots, int experts) noexcept;

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& permute_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call permute_call(const Permute& arguments);

/// Launches on `stream`; no tokens too, for the offsets say so. Throws Error.
KERNCAST_API void permute(Runtime& runtime, const Permute& arguments, Stream stream);

/// Resolves the kernels and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_permute(Runtime& runtime, const Permute& arguments);

}  // namespace kerncast::moe
