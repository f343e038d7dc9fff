#pragma once

namespace kerncast::quant {

/// The op, or the kind of op, that produced quantised data. Kernels read this header too.
enum class DequantScheme : unsigned char {
  per_tensor,       ///< quant.per_tensor_fp8
  per_token,        ///< quant.per_token_fp8 and quant.per_token_int8
  per_token_group,  ///< quant.per_token_group
  nvfp4,            ///< quant.nvfp4
  mxfp4,            ///< quant.mxfp4
  mxfp8,            ///< quant.mxfp8
};

#ifndef __CUDACC_RTC__
/// Names of the schemes as settings spell them. NVRTC would put the array into every kernel's module.
inline constexpr const char* dequant_scheme_names[] = {"per_tensor", "per_token", "per_token_group",
                                                       "nvfp4",      "mxfp4",     "mxfp8"};
#endif

}  // namespace kerncast::quant
