#pragma once

#include <cstdint>

#include "runtime/util/split_mix.hpp"

namespace kerncast::tools {

/// SplitMix64, since the distributions of the standard library differ between implementations.
class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() { return next_random(state_); }
  /// A value in [0, 1).
  double uniform() { return static_cast<double>(bits() >> 11U) * 0x1p-53; }

  /// An approximately normal value: the sum of 12 uniform values minus 6. The arithmetic is exact on every
  /// machine.
  double normal() {
    double sum = 0;
    for (int i = 0; i < 3; ++i) {
      const std::uint64_t word = bits();
      for (unsigned shift = 0; shift < 64; shift += 16) {
        sum += static_cast<double>(word >> shift & 0xffffU) + 0.5;
      }
    }
    return sum / 65536.0 - 6.0;
  }

 private:
  std::uint64_t state_;
};

}  // namespace kerncast::tools
