#pragma once

#include <cstdint>

namespace kerncast::tools {

/// SplitMix64, since the distributions of the standard library differ between implementations.
class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ z >> 30U) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27U) * 0x94d049bb133111ebU;
    return z ^ z >> 31U;
  }
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
