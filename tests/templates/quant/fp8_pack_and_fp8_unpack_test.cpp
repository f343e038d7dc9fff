#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

#include <kerncast/ops/quant/fp8_pack.hpp>
#include <kerncast/ops/quant/fp8_unpack.hpp>
#include "templates/reference/host_float.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

OpCase pack_case(std::int64_t rows, std::int64_t width, DType type = DType::bf16,
                 std::vector<double> values = {}) {
  if (values.empty()) {
    values = samples(static_cast<std::size_t>(rows * width), 19);
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] *= std::exp2(static_cast<double>(i / static_cast<std::size_t>(width) * 7 % 11) - 5.0);
    }
  }
  OpCase made;
  made.op = "quant.fp8_pack";
  made.tensors = {{.name = "x", .dtype = type, .shape = {rows, width}, .bytes = to_bytes(type, values)},
                  {.name = "packed", .dtype = DType::u8, .shape = {rows, width + 4}}};
  return made;
}

OpCase unpack_case(std::int64_t rows, std::int64_t width, DType type = DType::bf16) {
  OpCase made;
  made.op = "quant.fp8_unpack";
  made.params = {{"wide_dtype", std::string(name_of(type))}};
  Samples source(23);
  std::vector<std::byte> bytes(static_cast<std::size_t>(rows * (width + 4)));
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto first = static_cast<std::size_t>(row * (width + 4));
    for (std::int64_t i = 0; i < width; ++i) {
      bytes[first + static_cast<std::size_t>(i)] = static_cast<std::byte>(source.bits() >> 40U);
    }
    const auto scale = static_cast<float>(std::exp2(static_cast<double>(row % 9) - 4.0) * 1.37);
    std::memcpy(bytes.data() + first + width, &scale, 4);
  }
  made.tensors = {{.name = "packed", .dtype = DType::u8, .shape = {rows, width + 4}, .bytes = bytes},
                  {.name = "y", .dtype = type, .shape = {rows, width}}};
  return made;
}

}  // namespace

TEST_CASE("fp8 rows are packed and unpacked at the widths of heads") {
  const std::int64_t width = GENERATE(64, 72, 80, 96, 128, 192, 256, 1024);
  const std::int64_t rows = GENERATE(0, 1, 17, 48, 300);
  require_good(pack_case(rows, width));
  require_good(unpack_case(rows, width));
}

TEST_CASE("fp8 rows are packed and unpacked at odd widths") {
  const std::int64_t width = GENERATE(1, 2, 3, 5, 6, 7, 31, 33, 100, 255, 1001);
  const std::int64_t rows = GENERATE(1, 2, 3, 16, 33);
  require_good(pack_case(rows, width));
  require_good(unpack_case(rows, width));
}

TEST_CASE("fp8 rows are packed from and unpacked to every type") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  require_good(pack_case(50, 128, type));
  require_good(unpack_case(50, 128, type));
}

TEST_CASE("packed rows may be strided and lie anywhere") {
  const std::int64_t pad = GENERATE(0, 4, 12, 1);
  const std::int64_t offset = GENERATE(0, 1, 4, 8);
  const std::int64_t wide_pad = GENERATE(0, 8, 3);
  for (const bool packs : {true, false}) {
    OpCase test = packs ? pack_case(37, 128) : unpack_case(37, 128);
    const std::size_t packed = packs ? 1 : 0;
    test.tensors[packed].strides = {132 + pad, 1};
    test.tensors[packed].offset = offset;
    test.tensors[1 - packed].strides = {128 + wide_pad, 1};
    require_good(test);
  }
}

TEST_CASE("packed rows are right for tokens and heads") {
  OpCase test = pack_case(24, 128);
  test.tensors[0].shape = {4, 6, 128};
  test.tensors[1].shape = {4, 6, 132};
  require_good(test);
  // The heads of q in a packed qkv are contiguous; tokens are further apart.
  test.tensors[0].shape = {24, 1, 128};
  test.tensors[0].strides = {3 * 128, 128, 1};
  test.tensors[1].shape = {24, 1, 132};
  require_good(test);
}

TEST_CASE("packed rows of zeros, infinity and NaN keep to themselves") {
  std::vector<double> values = samples(5 * 64, 3);
  std::fill_n(values.begin(), 64, 0.0);
  values[64 + 7] = std::nan("");
  values[2 * 64 + 9] = -std::numeric_limits<double>::infinity();
  std::fill_n(values.begin() + 3 * 64, 64, std::nan(""));
  const Outcome outcome = require_good(pack_case(5, 64, DType::bf16, values));
  CHECK(outcome.input.tensor("packed")->bytes[68 + 7] == std::byte{0x7f});
  CHECK(outcome.input.tensor("packed")->bytes[4 * 68 + 7] != std::byte{0x7f});
}

TEST_CASE("the scale lies behind the row, little endian") {
  std::vector<double> values(128, 0.0);
  values[5] = -448.0;
  const Outcome outcome = require_good(pack_case(1, 128, DType::bf16, values));
  const std::vector<std::byte>& bytes = outcome.input.tensor("packed")->bytes;
  CHECK(bytes[5] == std::byte{0xfe});
  CHECK(std::vector<std::byte>(bytes.begin() + 128, bytes.begin() + 132) ==
        std::vector<std::byte>{std::byte{0}, std::byte{0}, std::byte{0x80}, std::byte{0x3f}});
}

TEST_CASE("unpacking what was packed errs by a 16th at most") {
  const std::vector<double> values = samples(40 * 128, 5);
  const Outcome there = require_good(pack_case(40, 128, DType::f32, values));
  OpCase back = unpack_case(40, 128, DType::f32);
  back.tensors[0].bytes = there.input.tensor("packed")->bytes;
  const Outcome outcome = require_good(back);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double got = reference::decode(DType::f32, outcome.input.tensor("y")->bytes.data() + 4 * i);
    // Below the smallest normal e4m3 times the scale, the error is half a subnormal step.
    CHECK(std::fabs(got - values[i]) <= std::fmax(std::fabs(values[i]) / 16.0, 5.0 / 448.0 / 1024.0) * 1.001);
  }
}

TEST_CASE("rows are unpacked by scales of any value") {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> scales = {0.0,
                                      -0.0,
                                      -1.5,
                                      1e-45,
                                      1e-40,
                                      1.2e-38,
                                      3.4e38,
                                      1e36,
                                      infinity,
                                      -infinity,
                                      std::numeric_limits<double>::quiet_NaN()};
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const std::int64_t width = GENERATE(256, 33);
  OpCase test = unpack_case(static_cast<std::int64_t>(scales.size()), width, type);
  for (std::size_t row = 0; row < scales.size(); ++row) {
    std::byte* bytes = test.tensors[0].bytes.data() + row * static_cast<std::size_t>(width + 4);
    // Zeros of both signs and both NaN codes stand beside random bytes.
    const unsigned codes[] = {0x00, 0x80, 0x7f, 0xff, 0x01, 0x7e};
    for (std::size_t i = 0; i < std::size(codes); ++i) {
      bytes[i] = static_cast<std::byte>(codes[i]);
    }
    const auto scale = static_cast<float>(scales[row]);
    std::memcpy(bytes + width, &scale, 4);
  }
  require_good(test);
}

TEST_CASE("packed rows are right at the edges of the types") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const std::int64_t rows = GENERATE(1, 16);
  require_good(pack_case(rows, 64, type, edge_samples(type, static_cast<std::size_t>(rows * 64), 83)));
}

TEST_CASE("one packed row of nothing but NaN or infinity is right") {
  const double value =
      GENERATE(std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
  const std::int64_t width = GENERATE(1, 31, 128);
  const Outcome outcome = require_good(
      pack_case(1, width, DType::f32, std::vector<double>(static_cast<std::size_t>(width), value)));
  CHECK(outcome.input.tensor("packed")->bytes[0] == std::byte{0x7f});
}

TEST_CASE("the references of packing reject wrong bytes") {
  const OpCase test = pack_case(3, 128);
  const Outcome outcome = require_good(test);
  for (const std::size_t byte : {std::size_t{0}, std::size_t{140}, std::size_t{391}}) {
    CHECK_FALSE(verdict_after_flip(test.op, outcome, "packed", byte, 1).ok);
  }
  CHECK_FALSE(verdict_after_flip(test.op, outcome, "packed", 128, 3).ok);  // the scale
  const OpCase back = unpack_case(3, 128, DType::f32);
  CHECK_FALSE(verdict_after_flip(back.op, require_good(back), "y", 4 * 5 + 2, 4).ok);
}
