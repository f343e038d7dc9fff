#pragma once

#include <cstdint>

namespace kerncast::quant {

/// Where the scales of blocks lie, a byte each; K blocks to a row.
enum class SfLayout : std::uint8_t {
  linear,  ///< [..., K], a row's scales side by side; rows may be strided
  /// For block-scaled MMA: contiguous [Tp, Kp], T rounded up to 128 and K up to 4; the scale of block k of
  /// row m is byte ((m / 128) * (Kp / 4) + k / 4) * 512 + (m % 32) * 16 + ((m / 32) % 4) * 4 + k % 4, padding
  /// is 0.
  swizzled,
};

}  // namespace kerncast::quant
