#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kerncast/dtype.hpp"

namespace kerncast::test {

/// Numbers that look drawn from a normal distribution, the same on every machine.
class Samples {
 public:
  explicit Samples(std::uint64_t seed) : state_(seed) {}
  /// A number of mean 0 and deviation 1.
  double next();
  std::uint64_t bits();

 private:
  std::uint64_t state_;
};

/// `count` values of deviation `scale` around `centre`.
[[nodiscard]] std::vector<double> samples(std::size_t count, std::uint64_t seed, double scale = 1.0,
                                          double centre = 0.0);

/// `count` values of `type`, a float type, from all of its finite range: zeros, the largest and the least
/// magnitudes, subnormal numbers, and runs of neighbours of one magnitude.
[[nodiscard]] std::vector<double> edge_samples(DType type, std::size_t count, std::uint64_t seed);

/// Gates and ups at the edges of f32, each gate with each up: where exp(gate) or a product with it leaves the
/// range of floats. `size` equal pairs stand side by side: first all their gates, then all their ups.
[[nodiscard]] std::vector<double> edge_gates(DType type, std::size_t size);

/// `values` rounded to `type`, as memory holds them.
[[nodiscard]] std::vector<std::byte> to_bytes(DType type, const std::vector<double>& values);

}  // namespace kerncast::test
