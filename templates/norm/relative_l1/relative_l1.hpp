#pragma once

#include <cstdint>
#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::norm {

/// Elements of relative_l1's workspace.
inline constexpr std::int64_t relative_l1_workspace = 2048;

/// Relative L1 distance of two tensors: d = mean(abs(a - b)) / mean(abs(a)), over all elements; 0 if both
/// means are 0, infinite if only the second one is. Caches of diffusion transformers compare a step with the
/// step before it so (TeaCache, arXiv:2411.19108; Cache-DIT). Two kernels are launched. No elements: success
/// without a launch, and d stays as it is. Launch with kerncast::launch or prepare, which say what is
/// asynchronous and what must live how long. Aliasing: d and workspace overlap no other tensor; a may be b.
struct RelativeL1 {
  static constexpr std::string_view op_name = "norm.relative_l1";

  TensorView a;          ///< [..., H]; bf16, f16 or f32; rows may be strided
  TensorView b;          ///< shape and dtype of a
  TensorView d;          ///< [1], f32
  TensorView workspace;  ///< [relative_l1_workspace], f64, aligned to 16 bytes; needs no initial value
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument).
[[nodiscard]] KERNCAST_API Call bind(const RelativeL1& arguments);

}  // namespace kerncast::norm
