#include "tools/run/synthetic.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

namespace kerncast::tools {
namespace {

/// The value of the bits of a small float, computed from the definition of its format.
double decode(std::uint32_t bits, int mantissa_bits, int bias) {
  const std::uint32_t mantissa = bits & ((1U << mantissa_bits) - 1U);
  const int exponent = static_cast<int>(bits >> mantissa_bits);
  return exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                       : std::ldexp((1U << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

struct Format {
  DType type;
  int mantissa_bits;
  int bias;
  std::uint32_t largest;
  std::uint32_t sign;
};

constexpr Format formats[] = {{DType::f16, 10, 15, 0x7bff, 0x8000},
                              {DType::bf16, 7, 127, 0x7f7f, 0x8000},
                              {DType::fp8_e4m3, 3, 7, 0x7e, 0x80},
                              {DType::fp8_e5m2, 2, 15, 0x7b, 0x80}};

TEST_CASE("every small float encodes to itself, and between two the nearer is taken, ties to even") {
  for (const Format& format : formats) {
    INFO(name_of(format.type));
    std::uint32_t wrong = 0;
    for (std::uint32_t bits = 0; bits < format.largest; ++bits) {
      const double low = decode(bits, format.mantissa_bits, format.bias);
      const double high = decode(bits + 1, format.mantissa_bits, format.bias);
      const std::uint32_t even = bits % 2 == 0 ? bits : bits + 1;
      wrong += encode_float(low, format.type) != bits;
      wrong += encode_float(0.5 * (low + high), format.type) != even;
      wrong += encode_float(low + 0.25 * (high - low), format.type) != bits;
      wrong += encode_float(-(low + 0.75 * (high - low)), format.type) != (format.sign | (bits + 1));
    }
    CHECK(wrong == 0);
    CHECK(encode_float(1e300, format.type) == format.largest);
    CHECK(encode_float(-std::numeric_limits<double>::infinity(), format.type) ==
          (format.sign | format.largest));
    CHECK(encode_float(-0.0, format.type) == format.sign);
  }
}

std::vector<float> floats(std::string_view name, std::uint64_t seed) {
  const std::vector<std::byte> bytes = synthetic_data(name, DType::f32, 20000, seed);
  std::vector<float> values(20000);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

double mean(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) {
    sum += static_cast<double>(value);
  }
  return sum / static_cast<double>(values.size());
}

TEST_CASE("data is what the tensor's name says") {
  CHECK(mean(floats("weight", 1)) == Approx(1.0).margin(0.01));
  CHECK(std::abs(mean(floats("bias", 1))) < 0.01);
  const std::vector<float> scales = floats("x_scale", 1);
  CHECK(*std::min_element(scales.begin(), scales.end()) > 0.0F);
  const std::vector<float> x = floats("x", 1);
  CHECK(std::abs(mean(x)) < 0.1);
  // Outliers are rare and large.
  const auto large = std::count_if(x.begin(), x.end(), [](float v) { return std::fabs(v) > 6.5F; });
  CHECK(large > 2);
  CHECK(large < 60);
}

TEST_CASE("data is finite, fills its bytes and depends on the seed alone") {
  for (int i = 0; i <= static_cast<int>(DType::f64); ++i) {
    const auto type = static_cast<DType>(i);
    INFO(name_of(type));
    const auto data = synthetic_data("x", type, 1000, 7);
    CHECK(data.size() == static_cast<std::size_t>(1000 * size_of(type)));
    CHECK(data == synthetic_data("x", type, 1000, 7));
    CHECK(data != synthetic_data("x", type, 1000, 8));
  }
  CHECK(seed_of("ab", "c") != seed_of("a", "bc"));
  // These values must be the same on every machine and with every standard library.
  const std::uint8_t golden[] = {169, 62, 186, 190, 174, 63, 163, 190};
  const std::vector<std::byte> drawn = synthetic_data("x", DType::bf16, 4, seed_of("run", "x"));
  REQUIRE(drawn.size() == sizeof golden);
  CHECK(std::memcmp(drawn.data(), golden, sizeof golden) == 0);
}

TEST_CASE("integers stay below their limit and reach all below it") {
  const auto data = synthetic_data("ids", DType::i32, 4000, 7, 5);
  std::vector<int> count(5);
  for (std::size_t i = 0; i < 4000; ++i) {
    std::int32_t value = 0;
    std::memcpy(&value, data.data() + 4 * i, 4);
    REQUIRE(value >= 0);
    REQUIRE(value < 5);
    ++count[static_cast<std::size_t>(value)];
  }
  CHECK(*std::min_element(count.begin(), count.end()) > 600);
}

}  // namespace
}  // namespace kerncast::tools
