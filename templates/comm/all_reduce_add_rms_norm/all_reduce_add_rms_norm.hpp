#pragma once

#include <string_view>

#include <kerncast/ops/comm/all_reduce.hpp>

#include "kerncast/communicator.hpp"
#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/tensor.hpp"

namespace kerncast::comm {

/// comm.all_reduce of x, then norm.fused_add_rms_norm of its result, in one launch and with the same bits:
/// a = x of rank 0 + x of rank 1 + ..., rounded to x's dtype; r = a + residual, stored over residual; y = r *
/// rsqrt(mean(r^2) + eps) * (weight + weight_offset), per row. The result of the all-reduce itself is not
/// written. kARResidualRMSNorm of FlashInfer's trtllm_allreduce_fusion.cuh computes the same.
///
/// residual and weight must be the same on all ranks if residual and y shall be. Collective, asynchrony and
/// lifetime are as with AllReduce. Without a communicator the call is norm.fused_add_rms_norm.
/// Aliasing: y may be x itself; residual may be neither x nor y.
struct AllReduceAddRmsNorm {
  static constexpr std::string_view op_name = "comm.all_reduce_add_rms_norm";

  TensorView x;                 ///< [..., H], H from 1 to 65536; bf16, f16 or f32; rows may be strided
  TensorView residual;          ///< shape of x; bf16, f16 or f32; the sum on return
  TensorView weight = {};       ///< [H]; bf16, f16 or f32; absent: no multiplication
  TensorView y;                 ///< shape of x; bf16, f16 or f32; may be x itself, but not residual
  float eps = 1e-6F;            ///< not negative
  float weight_offset = 0.0F;   ///< 1 for Gemma
  bool hf_rounding = false;     ///< round r * rsqrt(...) to x's dtype before the weight
  bool round_residual = false;  ///< round r to residual's dtype before it is normalised
  Communicator* communicator = nullptr;  ///< of this rank; must outlive the kernel, and graphs that hold it
  Algorithm algorithm = Algorithm::automatic;
};

/// Checks the arguments and makes the call. Throws Error(invalid_argument) for tensors that do not fit and
/// messages beyond the workspace, and what Communicator::check throws.
[[nodiscard]] KERNCAST_API Call bind(const AllReduceAddRmsNorm& arguments);

}  // namespace kerncast::comm
