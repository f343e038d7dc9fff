#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "kerncast/op_definition.hpp"
#include "kerncast/reference.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_float.hpp"

using namespace kerncast;
using namespace kerncast::reference;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

double decode_bits(DType type, std::uint32_t bits) {
  return decode(type, reinterpret_cast<const std::byte*>(&bits));
}

}  // namespace

TEST_CASE("encoding f32 agrees with the host's own conversion") {
  for (const double value : {0.0, -0.0, 1.0, 0.1, -1e-45, 1e-46, 3.4028236e38, 3.4028235e38, 1e39,
                             -1.17549435e-38, 1.0 + 0x1p-24, 1.0 + 3 * 0x1p-24}) {
    const auto native = static_cast<float>(value);
    std::uint32_t bits = 0;
    std::memcpy(&bits, &native, sizeof bits);
    CHECK(encode(DType::f32, value) == bits);
    CHECK(decode_bits(DType::f32, bits) == static_cast<double>(native));
  }
}

TEST_CASE("encodings at the edges of each format") {
  // Bit patterns from the formats' definitions.
  CHECK(encode(DType::bf16, 1.0) == 0x3f80);
  CHECK(encode(DType::bf16, 1.0 + 0x1p-8) == 0x3f80);
  CHECK(encode(DType::bf16, 1.0 + 3 * 0x1p-8) == 0x3f82);
  CHECK(encode(DType::bf16, 3.4e38) == 0x7f80);
  CHECK(encode(DType::f16, 65504.0) == 0x7bff);
  CHECK(encode(DType::f16, 65520.0) == 0x7c00);
  CHECK(encode(DType::f16, 0x1p-24) == 0x0001);
  CHECK(encode(DType::f16, 0x1p-25) == 0x0000);
  CHECK(encode(DType::fp8_e4m3, 448.0) == 0x7e);
  CHECK(encode(DType::fp8_e4m3, 1e9) == 0x7e);
  CHECK(encode(DType::fp8_e4m3, -infinity) == 0xfe);
  CHECK(encode(DType::fp8_e4m3, 0x1p-9) == 0x01);
  CHECK(encode(DType::fp8_e4m3, 0x1p-10) == 0x00);
  CHECK(encode(DType::fp8_e4m3, 3 * 0x1p-10) == 0x02);
  CHECK(encode(DType::fp8_e4m3, std::nan("")) == 0x7f);
  CHECK(encode(DType::fp8_e5m2, 57344.0) == 0x7b);
  CHECK(encode(DType::fp8_e5m2, infinity) == 0x7b);
  CHECK(encode(DType::fp8_e5m2, 0x1p-16) == 0x01);
  CHECK(encode(DType::i8, 2.5) == 2);
  CHECK(encode(DType::i8, -3.5) == 0xfc);
  CHECK(encode(DType::i8, 1e9) == 127);
  CHECK(encode(DType::i8, std::nan("")) == 0);
  CHECK(decode_bits(DType::ue8m0, 127) == 1.0);
  CHECK(decode_bits(DType::ue8m0, 0) == 0x1p-127);
  CHECK(std::isnan(decode_bits(DType::ue8m0, 255)));
}

TEST_CASE("every pattern of the narrow formats survives decoding and encoding") {
  const auto [type, patterns] = GENERATE(table<DType, std::uint32_t>({{DType::bf16, 0x10000U},
                                                                      {DType::f16, 0x10000U},
                                                                      {DType::fp8_e4m3, 0x100U},
                                                                      {DType::fp8_e5m2, 0x100U},
                                                                      {DType::i8, 0x100U}}));
  std::uint32_t changed = 0;
  for (std::uint32_t bits = 0; bits < patterns; ++bits) {
    const double value = decode_bits(type, bits);
    // fp8 has no infinity to saturate to: e5m2's decodes and comes back as the largest number.
    if (!std::isnan(value) && !(std::isinf(value) && type == DType::fp8_e5m2)) {
      changed += encode(type, value) != bits ? 1 : 0;
    }
  }
  CHECK(changed == 0);
}

TEST_CASE("values are counted by ordinals") {
  CHECK(ordinal(DType::f32, 0.0) == ordinal(DType::f32, -0.0));
  CHECK(ordinal(DType::bf16, 1.0) + 1 == ordinal(DType::bf16, 1.0 + 0x1p-7));
  CHECK(ordinal(DType::f16, 0x1p-24) == 1);
  CHECK(ordinal(DType::f16, -0x1p-24) == -1);
  CHECK(unit(DType::f32, 1.0) == 0x1p-23);
  CHECK(unit(DType::bf16, 300.0) == 2.0);
}

TEST_CASE("a verdict allows the steps it is given and no more") {
  const auto compare = [](double got, double want, int steps) {
    Verdict verdict;
    verdict.compare("y", 2, 3, DType::bf16, got, want, steps);
    return verdict.result();
  };
  CHECK(compare(1.0, 1.0, 0).ok);
  CHECK(compare(1.0 + 0x1p-7, 1.0, 1).ok);
  CHECK_FALSE(compare(1.0 + 0x1p-6, 1.0, 1).ok);
  CHECK(compare(std::nan(""), std::nan(""), 0).ok);
  CHECK_FALSE(compare(std::nan(""), 1.0, 5).ok);
  CHECK_FALSE(compare(1.0, std::nan(""), 5).ok);
  CHECK_FALSE(compare(infinity, 1.0, 5).ok);
  CHECK(compare(infinity, infinity, 0).ok);
  CHECK(compare(1.0 + 0x1p-6, 1.0, 1).max_error == 2.0);
  CHECK_THAT(compare(2.0, 1.0, 1).detail, Catch::Contains("y[2, 3] is 2, expected 1"));
}

TEST_CASE("a verdict allows two values and what lies between them") {
  const auto allows = [](double got, double one, double other) {
    Verdict verdict;
    verdict.compare_between("y", 0, 0, DType::bf16, got, one, other);
    return verdict.result().ok;
  };
  const double step = 0x1p-7;
  CHECK(allows(1.0, 1.0, 1.0));
  CHECK_FALSE(allows(1.0 + step, 1.0, 1.0));
  CHECK(allows(1.0 + step, 1.0 + 2 * step, 1.0));
  CHECK(allows(1.0 + 2 * step, 1.0 + 2 * step, 1.0));
  CHECK_FALSE(allows(1.0 + 3 * step, 1.0 + 2 * step, 1.0));
  CHECK(allows(0x1.fep127, 0x1.fep127, infinity));
  CHECK_FALSE(allows(-infinity, 0x1.fep127, infinity));
  CHECK(allows(std::nan(""), std::nan(""), std::nan("")));
  CHECK_FALSE(allows(1.0, std::nan(""), std::nan("")));
  CHECK_FALSE(allows(std::nan(""), 1.0, 1.0));
}

TEST_CASE("references are found by the name of their op") {
  for (const OpDefinition* op : OpRegistry::instance().all()) {
    CHECK(find_reference(op->name) != nullptr);
  }
  CHECK(find_reference("norm.nothing") == nullptr);
}

TEST_CASE("a reference refuses what it cannot read") {
  ReferenceInput input;
  CHECK_THROWS_WITH(find_reference("norm.rms_norm")(input), Catch::Contains("'x' is missing"));
  input.tensors = {{"x", DType::f32, {2, 4}, {4, 1}, std::vector<std::byte>(16)},
                   {"y", DType::f32, {2, 4}, {4, 1}, std::vector<std::byte>(32)}};
  CHECK_THROWS_WITH(find_reference("norm.rms_norm")(input), Catch::Contains("ends before"));
}
