#pragma once

namespace kerncast::moe {

/// The function that makes the scores of a router's logits. Kernels read this header too.
enum class Scoring : unsigned char {
  sigmoid,       ///< 1 / (1 + exp(-x))
  sqrtsoftplus,  ///< sqrt(log(1 + exp(x)))
};

}  // namespace kerncast::moe
