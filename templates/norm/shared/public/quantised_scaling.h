#pragma once

namespace kerncast::norm {

/// The elements that share a scale. Kernels read this header too.
enum class Scaling : unsigned char {
  per_token,   ///< s = max(amax(row), 1e-10) / MAX
  per_tensor,  ///< static: the scale is given
  per_group,   ///< s = max(amax(group), 1e-10) / MAX, or that rounded up to a power of two
};

}  // namespace kerncast::norm
