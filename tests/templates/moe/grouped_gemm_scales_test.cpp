#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/templates/moe/grouped_gemm_case.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

/// A case of each form of scales, and of int8.
GemmCase case_of_form(int form) {
  GemmCase of{.tokens = 6, .n = 48, .k = 1152, .experts = 3, .c = DType::f32};
  if (form < 2) {
    of.type = form == 0 ? DType::fp8_e4m3 : DType::i8;
    of.scales = form == 0 ? 3 : 2;
  } else {
    of.bits = 4;
    of.packed_scales = form == 2 ? DType::ue8m0 : DType::bf16;
  }
  return of;
}

}  // namespace

TEST_CASE("grouped_gemm multiplies int8 with scales of tensors, rows and columns, or none") {
  const int scales = GENERATE(0, 1, 2);
  const bool gated = GENERATE(false, true);
  const std::int64_t k = GENERATE(2048, 200, 33);
  GemmCase of{.tokens = 20,
              .n = 96,
              .k = k,
              .experts = 3,
              .type = DType::i8,
              .c = DType::f32,
              .weighted = gated,
              .scales = scales,
              .gated = gated};
  OpCase test = make_case(of);
  tensor_of(test, "a").bytes = random_bytes(of.tokens * of.k, 5, 0, 256);
  tensor_of(test, "b").bytes = random_bytes(of.experts * of.n * of.k, 6, 0, 256);
  require_good(test);
}

TEST_CASE("grouped_gemm adds up int8 exactly") {
  const std::int64_t k = GENERATE(65536, 7168, 1000);
  OpCase test =
      make_case({.tokens = 1, .n = 3, .k = k, .experts = 1, .top_k = 1, .type = DType::i8, .c = DType::f32});
  tensor_of(test, "a").bytes = random_bytes(k, 5, 0, 256);
  tensor_of(test, "b").bytes = random_bytes(3 * k, 6, 0, 256);
  const auto element = [&](const char* name, std::int64_t at) {
    return static_cast<std::int64_t>(
        static_cast<std::int8_t>(tensor_of(test, name).bytes[static_cast<std::size_t>(at)]));
  };
  const Outcome outcome = require_good(test);
  for (std::int64_t column = 0; column < 3; ++column) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < k; ++i) {
      sum += element("a", i) * element("b", column * k + i);
    }
    CHECK(value_at(outcome, "c", static_cast<std::size_t>(column)) ==
          static_cast<double>(static_cast<float>(sum)));
  }
  // All at the lower end: 2^30 at the largest k.
  tensor_of(test, "a").bytes = std::vector<std::byte>(static_cast<std::size_t>(k), std::byte{0x80});
  tensor_of(test, "b").bytes = std::vector<std::byte>(static_cast<std::size_t>(3 * k), std::byte{0x80});
  CHECK(value_at(require_good(test), "c", 1) == 16384.0 * static_cast<double>(k));
}

TEST_CASE("grouped_gemm multiplies b of four bits with scales of 32 elements") {
  const DType scales = GENERATE(DType::ue8m0, DType::bf16);
  const DType type = GENERATE(DType::bf16, DType::f16);
  const bool gated = GENERATE(false, true);
  // More than one window of scales, one group, and steps that end within the last.
  const std::int64_t k = GENERATE(2112, 32, 352);
  require_good(make_case({.tokens = 20,
                          .n = 140,
                          .k = k,
                          .experts = 3,
                          .type = type,
                          .c = DType::f32,
                          .weighted = gated,
                          .gated = gated,
                          .bits = 4,
                          .packed_scales = scales}));
}

TEST_CASE("grouped_gemm reads scales of four bits under every alignment alike") {
  const DType scales = GENERATE(DType::ue8m0, DType::bf16);
  // Rows of 45 scales.
  GemmCase of{
      .tokens = 6, .n = 72, .k = 1440, .experts = 2, .c = DType::f32, .bits = 4, .packed_scales = scales};
  const Outcome packed = require_good(make_case(of));
  for (const std::int64_t stride : {46, 48, 56, 64}) {
    of.scale_stride = stride;
    CHECK(bytes_of(require_good(make_case(of)), "c") == bytes_of(packed, "c"));
  }
}

TEST_CASE("grouped_gemm multiplies every value of four bits exactly") {
  const DType scales = GENERATE(DType::ue8m0, DType::bf16);
  const DType type = GENERATE(DType::bf16, DType::f16);
  // Column i of the matrix has value i % 16 at place i / 16, where the row of a has a one.
  OpCase test = make_case({.tokens = 1,
                           .n = 512,
                           .k = 32,
                           .experts = 1,
                           .top_k = 1,
                           .type = type,
                           .c = DType::f32,
                           .bits = 4,
                           .packed_scales = scales});
  const unsigned none = scales == DType::ue8m0 ? 0 : 0x88;
  std::vector<std::byte> b(std::size_t{512} * 16, static_cast<std::byte>(none));
  for (std::size_t i = 0; i < 512; ++i) {
    const std::size_t place = i / 16;
    const auto value = static_cast<unsigned>(i % 16);
    b[i * 16 + place / 2] =
        static_cast<std::byte>(place % 2 == 0 ? (none & 0xf0U) | value : value << 4U | (none & 15U));
  }
  tensor_of(test, "b").bytes = b;
  tensor_of(test, "a").bytes = to_bytes(type, std::vector<double>(32, 1.0));
  tensor_of(test, "b_scales").bytes = scales == DType::ue8m0
                                          ? std::vector<std::byte>(512, std::byte{129})
                                          : to_bytes(DType::bf16, std::vector<double>(512, 4.0));
  const Outcome outcome = require_good(test);
  constexpr std::array magnitudes{0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0};
  for (std::size_t i = 0; i < 512; ++i) {
    const std::size_t code = i % 16;
    const double value = scales == DType::ue8m0 ? magnitudes.at(code % 8) * (code < 8 ? 1 : -1)
                                                : static_cast<double>(code) - 8;
    CHECK(value_at(outcome, "c", i) == 4 * value);
  }
}

TEST_CASE("grouped_gemm is right at the shapes of gpt-oss in mxfp4 and of Kimi K2 Thinking in int4") {
  // Both products of a layer, with all of k and some of the columns.
  require_good(make_case({.tokens = 7,
                          .n = 192,
                          .k = 2880,
                          .experts = 4,
                          .top_k = 4,
                          .gated = true,
                          .activation = "swiglu_oai",
                          .limit = 7,
                          .bias = DType::bf16,
                          .bits = 4}));
  require_good(make_case({.tokens = 7,
                          .n = 96,
                          .k = 2880,
                          .experts = 4,
                          .top_k = 4,
                          .weighted = true,
                          .expanded = true,
                          .bias = DType::f32,
                          .bits = 4}));
  require_good(make_case({.tokens = 5,
                          .n = 256,
                          .k = 7168,
                          .experts = 3,
                          .gated = true,
                          .bits = 4,
                          .packed_scales = DType::bf16}));
  require_good(make_case({.tokens = 5,
                          .n = 128,
                          .k = 2048,
                          .experts = 3,
                          .weighted = true,
                          .expanded = true,
                          .bits = 4,
                          .packed_scales = DType::bf16}));
}

TEST_CASE("grouped_gemm multiplies fp8 with scales of tensors, rows and columns, or none") {
  const int scales = GENERATE(0, 1, 2);
  const bool gated = GENERATE(false, true);
  // 33 is no multiple of an access, 200 no whole number of steps.
  const std::int64_t k = GENERATE(2048, 200, 33);
  require_good(make_case({.tokens = 20,
                          .n = 96,
                          .k = k,
                          .experts = 3,
                          .type = DType::fp8_e4m3,
                          .weighted = gated,
                          .scales = scales,
                          .gated = gated}));
}

TEST_CASE("grouped_gemm multiplies fp8 with scales of blocks of 128") {
  const bool gated = GENERATE(false, true);
  // More than one window of scales, groups that end early, and an access of one byte.
  const std::int64_t k = GENERATE(2048, 1200, 200, 33);
  // Halves of whole blocks, halves whose borders lie within a tile, and one that no tile divides.
  const std::int64_t n = GENERATE(256, 272, 34);
  GemmCase of{.tokens = 20,
              .n = n,
              .k = k,
              .experts = 3,
              .type = DType::fp8_e4m3,
              .c = DType::f32,
              .weighted = gated,
              .scales = 3,
              .gated = gated};
  const Outcome by_groups = require_good(make_case(of));
  of.by_rows = true;
  CHECK(bytes_of(require_good(make_case(of)), "c") == bytes_of(by_groups, "c"));
}

TEST_CASE("grouped_gemm is right at the shapes of DeepSeek V3 and Kimi K2 in fp8 with scales of blocks") {
  // Both products of a layer, with a few of the experts and a few of the columns of the first.
  const auto [n, k, expanded] = GENERATE(table<std::int64_t, std::int64_t, bool>(
      {{512, 7168, false}, {384, 2048, true}, {256, 4096, false}, {128, 768, true}}));
  require_good(make_case({.tokens = 5,
                          .n = n,
                          .k = k,
                          .experts = 3,
                          .top_k = 2,
                          .block = 64,
                          .type = DType::fp8_e4m3,
                          .weighted = expanded,
                          .expanded = expanded,
                          .scales = 3,
                          .gated = !expanded}));
}

TEST_CASE("grouped_gemm promotes each 128 products by one fused step") {
  // One token, one column, ones: the partial sums are 128 and 72, and the scales tell the steps apart.
  OpCase test = make_case({.tokens = 1,
                           .n = 1,
                           .k = 328,
                           .experts = 1,
                           .top_k = 1,
                           .type = DType::fp8_e4m3,
                           .c = DType::f32,
                           .scales = 3});
  tensor_of(test, "a").bytes = to_bytes(DType::fp8_e4m3, std::vector<double>(328, 1.0));
  tensor_of(test, "b").bytes = to_bytes(DType::fp8_e4m3, std::vector<double>(328, 1.0));
  const std::array a{1.1F, 0.7F, 3.3F};
  const std::array b{0.3F, 1.7F, -0.9F};
  tensor_of(test, "a_scales").bytes = to_bytes(DType::f32, {a.begin(), a.end()});
  tensor_of(test, "b_scales").bytes = to_bytes(DType::f32, {b.begin(), b.end()});
  float sum = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    sum = std::fma(i == 2 ? 72.0F : 128.0F, a.at(i) * b.at(i), sum);
  }
  CHECK(value_at(require_good(test), "c", 0) == static_cast<double>(sum));
}

TEST_CASE("grouped_gemm multiplies every value of fp8 exactly") {
  // Row r of a has one element, and each column of the matrix one value: the products are the values
  // themselves.
  OpCase test = make_case(
      {.tokens = 2, .n = 256, .k = 32, .experts = 1, .top_k = 1, .type = DType::fp8_e4m3, .c = DType::f32});
  std::vector<std::byte> b(std::size_t{256} * 32, std::byte{0});
  for (std::size_t i = 0; i < 256; ++i) {
    b[i * 32 + i % 32] = static_cast<std::byte>(i);
  }
  tensor_of(test, "b").bytes = b;
  tensor_of(test, "a").bytes = to_bytes(DType::fp8_e4m3, std::vector<double>(64, 1.0));
  const Outcome outcome = require_good(test);
  for (std::size_t i = 0; i < 256; ++i) {
    const auto bits = static_cast<std::byte>(i);
    const double value = reference::decode(DType::fp8_e4m3, &bits);
    const double got = value_at(outcome, "c", i);
    CHECK((got == value || (std::isnan(got) && std::isnan(value))));
  }
}

TEST_CASE("grouped_gemm takes no rows and one row with every form of scales") {
  GemmCase of = case_of_form(GENERATE(0, 1, 2, 3));
  of.tokens = 0;
  require_good(make_case(of));
  of.tokens = 1;
  require_good(make_case(of));
}

TEST_CASE("grouped_gemm takes experts more than 2^31 elements apart with every form of scales") {
  const GemmCase of = case_of_form(GENERATE(0, 1, 2, 3));
  OpCase test = make_case(of);
  const Outcome packed = require_good(test);
  constexpr std::int64_t far = huge_stride;
  for (const char* name : {"b", "b_scales"}) {
    TensorCase& tensor = tensor_of(test, name);
    tensor.strides = {far, 1};
    if (tensor.shape.size() == 3) {
      tensor.strides = {far, tensor.shape[2], 1};
    }
    CHECK(bytes_of(require_good(test), "c") == bytes_of(packed, "c"));
    tensor.strides = {};
  }
}

TEST_CASE("grouped_gemm keeps a scale of NaN within its row or column") {
  const int form = GENERATE(0, 2, 3);
  const GemmCase of = case_of_form(form);
  OpCase test = make_case(of);
  // The last group of row 1 of a, or of column 5 of every expert.
  TensorCase& scales = tensor_of(test, form == 0 ? "a_scales" : "b_scales");
  const auto nan = to_bytes(scales.dtype, {std::numeric_limits<double>::quiet_NaN()});
  const std::int64_t groups = scales.shape.back();
  for (std::int64_t e = 0; e < (form == 0 ? 1 : of.experts); ++e) {
    const std::int64_t at = form == 0 ? 2 * groups - 1 : (e * of.n + 6) * groups - 1;
    std::copy(nan.begin(), nan.end(),
              scales.bytes.begin() + static_cast<std::ptrdiff_t>(at * size_of(scales.dtype)));
  }
  const Outcome outcome = require_good(test);
  for (std::int64_t slot = 0; slot < of.tokens * of.top_k; ++slot) {
    for (std::int64_t i = 0; i < of.n; ++i) {
      const bool is_nan = std::isnan(value_at(outcome, "c", static_cast<std::size_t>(slot * of.n + i)));
      CHECK(is_nan == (form == 0 ? slot / of.top_k == 1 : i == 5));
    }
  }
}
