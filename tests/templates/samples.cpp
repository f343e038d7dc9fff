#include "tests/templates/samples.hpp"

#include <cmath>
#include <cstring>

#include "templates/reference/host_float.hpp"

namespace kerncast::test {

std::uint64_t Samples::bits() {
  state_ += 0x9e3779b97f4a7c15U;
  std::uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
  return mixed ^ (mixed >> 31);
}

double Samples::next() {
  // Twelve uniform numbers less six: close enough to normal, and exact in any libm.
  double sum = -6.0;
  for (int i = 0; i < 12; ++i) {
    sum += static_cast<double>(bits() >> 11) * 0x1p-53;
  }
  return sum;
}

std::vector<double> samples(std::size_t count, std::uint64_t seed, double scale, double centre) {
  Samples source(seed);
  std::vector<double> values(count);
  for (double& value : values) {
    value = centre + scale * source.next();
  }
  return values;
}

std::vector<double> edge_samples(DType type, std::size_t count, std::uint64_t seed) {
  const int highest = type == DType::f16 ? 16 : 128;
  const int lowest = type == DType::f16 ? -24 : type == DType::bf16 ? -133 : -149;
  const auto range = static_cast<std::uint64_t>(highest - lowest);
  const double largest = reference::rounded(type, std::nextafter(std::ldexp(1.0, highest), 0.0));
  const double finite = std::isfinite(largest) ? largest : std::ldexp(1.0, highest - 1);
  Samples source(seed);
  std::vector<double> values(count);
  int exponent = 0;
  for (std::size_t i = 0; i < count; ++i) {
    // Every other run of eight has one magnitude.
    if (i % 16 == 0 || i % 16 > 8) {
      exponent = lowest + static_cast<int>(source.bits() % range);
    }
    const std::uint64_t bits = source.bits();
    const double sign = (bits & 1U) != 0 ? -1.0 : 1.0;
    double magnitude = std::ldexp(1.0 + static_cast<double>(bits >> 40) * 0x1p-24, exponent);
    switch (bits >> 8 & 31U) {
      case 0:
        magnitude = 0.0;
        break;
      case 1:
        magnitude = finite;
        break;
      case 2:
        magnitude = std::ldexp(1.0, lowest);
        break;
      default:
        break;
    }
    values[i] = sign * std::fmin(magnitude, finite);
  }
  return values;
}

std::vector<double> edge_gates(DType type, std::size_t size) {
  constexpr double magnitudes[] = {0.0,   1e-45, 1e-38, 1e-20, 1e-5, 0.5,  1.2,   5.0,
                                   20.0,  59.0,  70.0,  86.9,  87.1, 88.5, 104.0, 130.0,
                                   139.0, 141.0, 200.0, 704.0, 1e4,  1e20, 3.3e38};
  std::vector<double> numbers;
  for (const double magnitude : magnitudes) {
    const double value = reference::rounded(type, magnitude);
    numbers.push_back(std::isfinite(value) ? value : 65504.0);
    numbers.push_back(-numbers.back());
  }
  std::vector<double> values;
  for (const double gate : numbers) {
    for (const double up : numbers) {
      values.insert(values.end(), size, gate);
      values.insert(values.end(), size, up);
    }
  }
  return values;
}

std::vector<std::byte> to_bytes(DType type, const std::vector<double>& values) {
  const auto size = static_cast<std::size_t>(size_of(type));
  std::vector<std::byte> bytes(values.size() * size);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint32_t bits = type == DType::i32
                                   ? static_cast<std::uint32_t>(static_cast<std::int32_t>(values[i]))
                                   : reference::encode(type, values[i]);
    std::memcpy(bytes.data() + i * size, &bits, size);  // little endian
  }
  return bytes;
}

}  // namespace kerncast::test
