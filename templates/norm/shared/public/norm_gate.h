#pragma once

namespace kerncast::norm {

/// The function of z that multiplies a normalised row. Kernels read this header too.
enum class NormGate : unsigned char {
  silu,     ///< z * sigmoid(z): Gated DeltaNet, Mamba2
  sigmoid,  ///< Kimi Delta Attention
};

}  // namespace kerncast::norm
