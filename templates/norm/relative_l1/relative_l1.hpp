#pragma once

#include <cstdint>

#include "kerncast/export.hpp"
#include "kerncast/op.hpp"
#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// Elements of relative_l1's workspace.
inline constexpr std::int64_t relative_l1_workspace = 2048;

/// d = mean(abs(a - b)) / mean(abs(a)), over all elements: 0 where both are 0, infinite where only the second
/// is. What a step of a diffusion transformer is compared by with the step before it.
struct RelativeL1 {
  TensorView a;          ///< [..., H]; bf16, f16 or f32; rows may be strided
  TensorView b;          ///< shape and dtype of a
  TensorView d;          ///< [1], f32
  TensorView workspace;  ///< [relative_l1_workspace], f64, aligned to 16 bytes; needs no initial value
};

/// The op's definition in the registry.
[[nodiscard]] KERNCAST_API const OpDefinition& relative_l1_op();

/// Checks the arguments. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call relative_l1_call(const RelativeL1& arguments);

/// Launches two kernels on `stream`. No elements: success without a launch, d is left as it is. Throws Error.
KERNCAST_API void relative_l1(Runtime& runtime, const RelativeL1& arguments, Stream stream);

/// Resolves the kernels and binds the arguments for repeated launches.
[[nodiscard]] KERNCAST_API PreparedLaunch prepare_relative_l1(Runtime& runtime, const RelativeL1& arguments);

}  // namespace kerncast::norm
