#pragma once

namespace kerncast::norm {

/// The rows of norm.fused_add_rms_norm and of the ops that end in it. Strides are in elements.
struct AddedRmsArgs {
  const void* x;
  void* residual;
  const void* weight;  ///< null if absent
  void* y;
  long long rows;
  long long x_stride;
  long long residual_stride;
  long long y_stride;
  float eps;
  float weight_offset;
};

}  // namespace kerncast::norm
