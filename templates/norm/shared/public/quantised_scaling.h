#pragma once

namespace kerncast::norm {

/// The elements that share a scale. Kernels read this header too.
enum class Scaling : unsigned char {
  per_token,   ///< s = max(amax(row), 1e-10) / MAX
  per_tensor,  ///< static: the scale is given
  per_group,   ///< s = max(amax(group), 1e-10) / MAX, or that rounded up to a power of two
  mxfp8,       ///< blocks of 32 in fp8: s = 2^ceil(log2(amax(block) / MAX))
  mxfp4,       ///< blocks of 32 in e2m1: as mxfp8, MAX = 6
  nvfp4,       ///< blocks of 16 in e2m1: s = e4m3(g * amax(block) / 6), g is the global scale
};

}  // namespace kerncast::norm
