#pragma once

namespace kerncast::moe {

/// The function of the products that moe.grouped_gemm writes. Kernels read this header too.
enum class GemmActivation : unsigned char {
  none,
  silu_and_mul,  ///< silu of the products with the first half of b's rows, times those with the second
  gelu_and_mul,
  gelu_tanh_and_mul,
  swiglu_oai,  ///< of gpt-oss: rows of b are gates and ups in turns
};

}  // namespace kerncast::moe
