#include "tests/templates/samples.hpp"

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
