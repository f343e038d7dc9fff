#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <set>
#include <string_view>
#include <vector>

#include <kerncast/ops/moe/align_block_size.hpp>
#include <kerncast/ops/moe/grouped_gemm.hpp>
#include "runtime/dispatch/tunables/launch_defect.hpp"
#include "runtime/simulator/watch/profile_abi.hpp"
#include "tests/templates/cases.hpp"
#include "tests/templates/moe/expert_ids.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

struct GemmCase {
  std::int64_t tokens = 5;
  std::int64_t n = 96;
  std::int64_t k = 256;
  std::int64_t experts = 8;
  std::int64_t top_k = 2;
  std::int64_t block = 16;
  DType type = DType::bf16;
  DType c = DType::bf16;
  bool weighted = false;
  bool strays = false;    ///< some ids name no expert
  bool expanded = false;  ///< a has a row for each slot, as in the second product of a layer
  int scales = 0;         ///< 1: of the tensors, 2: of rows and columns, 3: of blocks of 128
  bool by_rows = false;   ///< scales of blocks of a have rows as the contiguous dimension
  bool gated = false;     ///< an activation
  const char* activation = "silu_and_mul";
  double limit = 0;
  DType bias = DType::i32;             ///< i32: none
  int bits = 16;                       ///< 4: b is packed, with scales of 32 elements
  DType packed_scales = DType::ue8m0;  ///< ue8m0: b is e2m1; bf16: integers
  std::int64_t scale_stride = 0;       ///< elements between rows of packed scales; 0: none between them
  std::uint64_t seed = 1;
};

struct Grouping {
  std::vector<double> sorted;
  std::vector<double> expert;
  std::vector<double> total;
};

/// The results of moe.align_block_size for `ids`.
Grouping grouping_of(const std::vector<double>& ids, std::int64_t experts, std::int64_t block) {
  Grouping made;
  const auto slots = static_cast<std::int64_t>(ids.size());
  const std::int64_t places =
      moe::align_block_size_places(slots, static_cast<int>(experts), static_cast<int>(block));
  for (std::int64_t e = 0; e < experts; ++e) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == static_cast<double>(e)) {
        made.sorted.push_back(static_cast<double>(i));
      }
    }
    while (made.sorted.size() % static_cast<std::size_t>(block) != 0) {
      made.sorted.push_back(static_cast<double>(slots));
    }
    made.expert.resize(made.sorted.size() / static_cast<std::size_t>(block), static_cast<double>(e));
  }
  made.total = {static_cast<double>(made.sorted.size())};
  made.sorted.resize(static_cast<std::size_t>(places), static_cast<double>(slots));
  made.expert.resize(static_cast<std::size_t>(places / block), -1.0);
  return made;
}

TensorCase integers(const char* name, const std::vector<double>& values) {
  return {.name = name,
          .dtype = DType::i32,
          .shape = {static_cast<std::int64_t>(values.size())},
          .bytes = to_bytes(DType::i32, values)};
}

std::vector<std::byte> random_bytes(std::int64_t count, std::uint64_t seed, std::uint64_t first,
                                    std::uint64_t values) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(count));
  Samples random(seed);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(first + random.bits() % values);
  }
  return bytes;
}

/// b of four bits and its scales.
std::vector<TensorCase> packed_matrices(const GemmCase& of) {
  const std::int64_t groups = of.k / 32;
  TensorCase b{.name = "b",
               .dtype = DType::u8,
               .shape = {of.experts, of.n, of.k / 2},
               .bytes = random_bytes(of.experts * of.n * of.k / 2, of.seed + 1, 0, 256)};
  TensorCase scales{
      .name = "b_scales",
      .dtype = of.packed_scales,
      .shape = {of.experts, of.n, groups},
      .bytes = of.packed_scales == DType::ue8m0
                   ? random_bytes(of.experts * of.n * groups, of.seed + 4, 119, 6)
                   : to_bytes(DType::bf16, samples(static_cast<std::size_t>(of.experts * of.n * groups),
                                                   of.seed + 4, 0.02))};
  if (of.scale_stride > 0) {
    scales.strides = {of.n * of.scale_stride, of.scale_stride, 1};
  }
  return {std::move(b), std::move(scales)};
}

OpCase make_case(const GemmCase& of, const std::vector<double>& ids) {
  const std::int64_t slots = of.tokens * of.top_k;
  const std::int64_t rows = of.expanded ? slots : of.tokens;
  const Grouping grouping = grouping_of(ids, of.experts, of.block);
  OpCase made;
  made.op = "moe.grouped_gemm";
  made.params = {{"top_k", std::to_string(of.expanded ? 1 : of.top_k)}, {"block", std::to_string(of.block)}};
  made.tensors = {input_rows("a", of.type, {rows, of.k}, of.seed),
                  {.name = "b",
                   .dtype = of.type,
                   .shape = {of.experts, of.n, of.k},
                   .bytes = to_bytes(of.type, samples(static_cast<std::size_t>(of.experts * of.n * of.k),
                                                      of.seed + 1, 0.1))},
                  integers("sorted", grouping.sorted),
                  integers("expert", grouping.expert),
                  integers("total", grouping.total),
                  output_rows("c", of.c, {slots, of.gated ? of.n / 2 : of.n})};
  if (of.bits == 4) {
    drop_tensor(made, "b");
    for (TensorCase& tensor : packed_matrices(of)) {
      made.tensors.push_back(std::move(tensor));
    }
  } else if (of.scales == 3) {
    const std::int64_t groups = (of.k + 127) / 128;
    const std::int64_t blocks = (of.n + 127) / 128;
    TensorCase a_scales = input_rows("a_scales", DType::f32, {rows, groups}, of.seed + 3);
    if (of.by_rows) {
      a_scales.strides = {1, rows + 3};
    }
    made.tensors.push_back(std::move(a_scales));
    made.tensors.push_back(
        {.name = "b_scales",
         .dtype = DType::f32,
         .shape = {of.experts, blocks, groups},
         .bytes = to_bytes(DType::f32,
                           samples(static_cast<std::size_t>(of.experts * blocks * groups), of.seed + 4))});
  } else if (of.scales > 0) {
    const std::int64_t a_scales = of.scales == 1 ? 1 : rows;
    made.tensors.push_back(input_vector("a_scales", DType::f32, a_scales, of.seed + 3, 0.5));
    TensorCase b_scales = of.scales == 1
                              ? input_vector("b_scales", DType::f32, of.experts, of.seed + 4, 0.5)
                              : input_rows("b_scales", DType::f32, {of.experts, of.n}, of.seed + 4);
    made.tensors.push_back(std::move(b_scales));
  }
  if (of.gated) {
    made.params.emplace_back("activation", of.activation);
    if (of.limit > 0) {
      made.scalars.emplace_back("limit", of.limit);
    }
  }
  if (of.bias != DType::i32) {
    made.tensors.push_back(input_rows("bias", of.bias, {of.experts, of.n}, of.seed + 5));
  }
  if (of.weighted) {
    made.tensors.push_back(input_vector("weights", DType::f32, slots, of.seed + 2, 0.2));
  }
  return made;
}

OpCase make_case(const GemmCase& of) {
  const std::int64_t slots = of.tokens * of.top_k;
  return make_case(
      of, of.strays ? ids_with_strays(slots, of.experts, of.seed) : expert_ids(slots, of.experts, of.seed));
}

/// Row `row` of c.
std::vector<std::byte> row_of_c(const Outcome& outcome, std::int64_t row) {
  const HostTensor& c = *outcome.input.tensor("c");
  const std::int64_t bytes = c.shape[1] * size_of(c.dtype);
  const auto first = c.bytes.begin() + static_cast<std::ptrdiff_t>(row * bytes);
  return {first, first + static_cast<std::ptrdiff_t>(bytes)};
}

bool is_untouched(const std::vector<std::byte>& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0xcd}; });
}

}  // namespace

TEST_CASE("grouped_gemm is right for every type, grouping and epilogue") {
  const DType type = GENERATE(DType::bf16, DType::f16);
  const DType c = GENERATE(DType::bf16, DType::f16, DType::f32);
  const bool weighted = GENERATE(false, true);
  const bool expanded = GENERATE(false, true);
  require_good(make_case({.type = type, .c = c, .weighted = weighted, .expanded = expanded}));
}

TEST_CASE("grouped_gemm is right at the depth of models") {
  // DeepSeek V3, Qwen3 30B A3B, Mixtral, gpt-oss: k of both products of a layer, and some of the columns.
  for (const std::int64_t k : {7168, 2048, 14336, 2880, 768}) {
    require_good(make_case({.tokens = 9, .n = 40, .k = k, .experts = 6, .weighted = true}));
  }
}

TEST_CASE("grouped_gemm multiplies gates and ups of both halves of a matrix") {
  const DType c = GENERATE(DType::bf16, DType::f16, DType::f32);
  // Halves that are whole tiles, end within one, and are no multiple of an access.
  const std::int64_t n = GENERATE(256, 200, 66, 2);
  const bool weighted = GENERATE(false, true);
  require_good(
      make_case({.tokens = 20, .n = n, .k = 192, .experts = 3, .c = c, .weighted = weighted, .gated = true}));
}

TEST_CASE("grouped_gemm has every activation of gates and ups") {
  const auto [activation, limit] = GENERATE(table<const char*, double>({{"silu_and_mul", 0.7},
                                                                        {"gelu_and_mul", 0.0},
                                                                        {"gelu_tanh_and_mul", 0.0},
                                                                        {"swiglu_oai", 0.0},
                                                                        {"swiglu_oai", 0.7}}));
  const DType c = GENERATE(DType::bf16, DType::f16, DType::f32);
  // 130 columns of c are not a whole number of tiles; 66 have accesses of four bytes.
  const std::int64_t n = GENERATE(260, 132);
  require_good(make_case({.tokens = 9,
                          .n = n,
                          .k = 192,
                          .experts = 3,
                          .c = c,
                          .weighted = true,
                          .gated = true,
                          .activation = activation,
                          .limit = limit}));
}

TEST_CASE("grouped_gemm takes gates and ups of swiglu_oai in turns, with scales too") {
  const int scales = GENERATE(2, 3);
  const std::int64_t n = GENERATE(320, 96);
  require_good(make_case({.tokens = 9,
                          .n = n,
                          .k = 300,
                          .experts = 3,
                          .type = DType::fp8_e4m3,
                          .scales = scales,
                          .gated = true,
                          .activation = "swiglu_oai"}));
}

TEST_CASE("grouped_gemm adds a bias to the products of each expert") {
  const DType bias = GENERATE(DType::bf16, DType::f16, DType::f32);
  const bool gated = GENERATE(false, true);
  const DType type = GENERATE(DType::bf16, DType::fp8_e4m3);
  require_good(make_case({.tokens = 9,
                          .n = 100,
                          .k = 192,
                          .experts = 5,
                          .type = type,
                          .weighted = true,
                          .scales = type == DType::bf16 ? 0 : 2,
                          .gated = gated,
                          .activation = gated && bias == DType::bf16 ? "swiglu_oai" : "silu_and_mul",
                          .bias = bias}));
}

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

TEST_CASE("grouped_gemm is right at the shapes of gpt-oss in bf16") {
  // Both products, with all of k and some of the columns.
  require_good(make_case({.tokens = 7,
                          .n = 192,
                          .k = 2880,
                          .experts = 4,
                          .top_k = 4,
                          .gated = true,
                          .activation = "swiglu_oai",
                          .limit = 7,
                          .bias = DType::bf16}));
  require_good(make_case({.tokens = 7,
                          .n = 96,
                          .k = 2880,
                          .experts = 4,
                          .top_k = 4,
                          .weighted = true,
                          .expanded = true,
                          .bias = DType::bf16}));
}

TEST_CASE("grouped_gemm has the bits of the two ops apart but for the rounding between them") {
  // In f32 nothing is rounded between.
  const GemmCase of{.tokens = 4, .n = 64, .k = 96, .experts = 2, .c = DType::f32};
  GemmCase fused = of;
  fused.gated = true;
  const Outcome apart = require_good(make_case(of));
  const Outcome together = require_good(make_case(fused));
  for (std::size_t i = 0; i < static_cast<std::size_t>(of.tokens * of.top_k * of.n / 2); ++i) {
    const std::size_t at = i / 32 * 64 + i % 32;
    const double gate = value_at(apart, "c", at);
    const double product = gate / (1 + std::exp(-gate)) * value_at(apart, "c", at + 32);
    CHECK(value_at(together, "c", i) == static_cast<double>(static_cast<float>(product)));
  }
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

TEST_CASE("grouped_gemm is right under blocks of every size") {
  const std::int64_t block = GENERATE(1, 3, 8, 16, 24, 64, 100, 128, 256);
  const std::int64_t tokens = GENERATE(1, 70);
  require_good(make_case({.tokens = tokens, .n = 33, .k = 72, .experts = 3, .block = block}));
}

TEST_CASE("grouped_gemm leaves rows alone whose slots name no expert") {
  const GemmCase of{.tokens = 30, .strays = true};
  const Outcome outcome = require_good(make_case(of));
  const std::vector<double> ids = ids_with_strays(of.tokens * of.top_k, of.experts, of.seed);
  int untouched = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool known = ids[i] >= 0 && ids[i] < static_cast<double>(of.experts);
    CHECK(is_untouched(row_of_c(outcome, static_cast<std::int64_t>(i))) == !known);
    untouched += known ? 0 : 1;
  }
  CHECK(untouched > 10);
}

TEST_CASE("grouped_gemm takes the results of align_block_size in a stream") {
  const GemmCase of{.tokens = 40, .n = 64, .k = 128, .experts = 16, .top_k = 4, .block = 16};
  const std::vector<double> ids = expert_ids(of.tokens * of.top_k, of.experts, of.seed);
  OpCase test = make_case(of, ids);
  test.tensors.push_back({.name = "ids",
                          .dtype = DType::i32,
                          .shape = {of.tokens, of.top_k},
                          .bytes = to_bytes(DType::i32, ids)});
  // The results of the first op are not there before it has run.
  const Grouping none{std::vector<double>(static_cast<std::size_t>(tensor_of(test, "sorted").shape[0]), -1.0),
                      std::vector<double>(static_cast<std::size_t>(tensor_of(test, "expert").shape[0]), -1.0),
                      {0.0}};
  tensor_of(test, "sorted").bytes = to_bytes(DType::i32, none.sorted);
  tensor_of(test, "expert").bytes = to_bytes(DType::i32, none.expert);
  tensor_of(test, "total").bytes = to_bytes(DType::i32, none.total);
  test.launch = [&of](Runtime& on, const Views& views) {
    launch(on,
           moe::AlignBlockSize{.ids = views.at("ids"),
                               .sorted = views.at("sorted"),
                               .expert = views.at("expert"),
                               .total = views.at("total"),
                               .experts = static_cast<int>(of.experts),
                               .block = static_cast<int>(of.block)},
           nullptr);
    launch(on,
           moe::GroupedGemm{.a = views.at("a"),
                            .b = views.at("b"),
                            .sorted = views.at("sorted"),
                            .expert = views.at("expert"),
                            .total = views.at("total"),
                            .c = views.at("c"),
                            .top_k = static_cast<int>(of.top_k),
                            .block = static_cast<int>(of.block)},
           nullptr);
  };
  // The inputs of the product change here, so the harness cannot tell strays from results.
  const Outcome outcome = run_case(test);
  const Outcome apart = require_good(make_case(of, ids));
  CHECK(bytes_of(outcome, "c") == bytes_of(apart, "c"));
}

TEST_CASE("grouped_gemm gives a row the same bits among any others") {
  const GemmCase of{.tokens = 90, .n = 40, .k = 1000, .experts = 4, .block = 64, .c = DType::f32};
  const std::vector<double> ids = expert_ids(of.tokens * of.top_k, of.experts, of.seed);
  const Outcome whole = require_good(make_case(of, ids));
  for (const std::int64_t tokens : {1, 7, 33}) {
    GemmCase few = of;
    few.tokens = tokens;
    OpCase test = make_case(few, {ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(tokens * of.top_k)});
    // samples() of one seed begin alike, so the matrices and the first rows are the same.
    const Outcome outcome = require_good(test);
    for (std::int64_t slot = 0; slot < tokens * of.top_k; ++slot) {
      CHECK(row_of_c(outcome, slot) == row_of_c(whole, slot));
    }
  }
}

namespace {

/// The bits of c under a third of all tunables that a launch can have, which must be those of the defaults.
void check_tunables(const OpCase& of) {
  const OpDefinition& op = definition_of<moe::GroupedGemm>();
  const Outcome expected = require_good(of);
  int launched = 0;
  OpCase test = of;
  std::size_t place = 0;
  for (const std::int32_t rows : {8, 16, 32, 64, 128}) {
    for (const std::int32_t columns : {32, 64, 128}) {
      for (const std::int32_t depth : {32, 64, 128}) {
        for (const std::int32_t warps : {4, 8}) {
          const auto stages = static_cast<std::int32_t>(2 + place % 3);
          const Tunables tunables{{rows, columns, depth, stages, warps, 1}};
          const Specialisation& spec = expected.input.spec;
          if (++place % 3 != 0 ||
              !launch_defect(op, spec, tunables, runtime().traits(0), runtime().arch(0), 3).empty()) {
            continue;
          }
          INFO(rows << " rows, " << columns << " columns, " << depth << " of k, " << stages << " stages, "
                    << warps << " warps");
          test.launch = [&](Runtime& on, const Views& views) {
            on.prepare(op, op.bind(bindings_of(of, views)), tunables).launch(nullptr);
          };
          CHECK(bytes_of(require_good(test), "c") == bytes_of(expected, "c"));
          ++launched;
        }
      }
    }
  }
  CHECK(launched >= 12);
}

}  // namespace

TEST_CASE("grouped_gemm gives the same bits with all tunables and scales of blocks") {
  const bool gated = GENERATE(false, true);
  check_tunables(make_case({.tokens = 24,
                            .n = 160,
                            .k = 1296,
                            .experts = 2,
                            .block = 64,
                            .type = DType::fp8_e4m3,
                            .c = DType::f32,
                            .scales = 3,
                            .gated = gated}));
}

TEST_CASE("grouped_gemm gives the same bits with all tunables and int8") {
  check_tunables(make_case({.tokens = 24,
                            .n = 160,
                            .k = 1312,
                            .experts = 2,
                            .block = 64,
                            .type = DType::i8,
                            .c = DType::f32,
                            .scales = 2,
                            .gated = true}));
}

TEST_CASE("grouped_gemm gives the same bits with all tunables and four bits") {
  const DType scales = GENERATE(DType::ue8m0, DType::bf16);
  check_tunables(make_case({.tokens = 24,
                            .n = 160,
                            .k = 1312,
                            .experts = 2,
                            .block = 64,
                            .c = DType::f32,
                            .bits = 4,
                            .packed_scales = scales}));
}

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

TEST_CASE("grouped_gemm keeps NaN and infinity within their rows") {
  const GemmCase of{.tokens = 6, .n = 48, .k = 96, .experts = 2, .c = DType::f32};
  OpCase test = make_case(of);
  std::vector<double> a = samples(static_cast<std::size_t>(of.tokens * of.k), 3);
  a[5] = std::numeric_limits<double>::infinity();
  a[static_cast<std::size_t>(2 * of.k + 95)] = std::numeric_limits<double>::quiet_NaN();
  tensor_of(test, "a").bytes = to_bytes(of.type, a);
  const Outcome outcome = require_good(test);
  for (std::size_t row = 0; row < static_cast<std::size_t>(of.tokens * of.top_k); ++row) {
    const bool finite = std::isfinite(value_at(outcome, "c", row * static_cast<std::size_t>(of.n)));
    CHECK(finite == (row / 2 != 0 && row / 2 != 2));
  }
}

namespace {

/// Sectors of global memory that the launch of a case reads, by the virtual GPU's count.
std::uint64_t sectors_read(OpCase test) {
  const auto set =
      reinterpret_cast<decltype(kerncastSimProfile)*>(runtime().driver_symbol("kerncastSimProfile"));
  const auto launch_of = reinterpret_cast<decltype(kerncastSimProfileLaunch)*>(
      runtime().driver_symbol("kerncastSimProfileLaunch"));
  REQUIRE(set != nullptr);
  REQUIRE(launch_of != nullptr);
  std::uint64_t sectors = 0;
  const OpDefinition& op = definition_of<moe::GroupedGemm>();
  test.launch = [&, copy = test](Runtime& on, const Views& views) {
    const Call call = op.bind(bindings_of(copy, views));
    set(1);
    on.dispatch(op, call, nullptr);
    synchronize();
    set(0);
    const KerncastSimLaunch* launch = launch_of(0);
    REQUIRE(launch != nullptr);
    for (std::size_t i = 0; i < launch->instruction_count; ++i) {
      if (std::string_view(launch->instructions[i].unit) == "load") {
        sectors += launch->instructions[i].counts.global_sectors;
      }
    }
  };
  require_good(test);
  return sectors;
}

}  // namespace

namespace {

/// `tokens` tokens with top_k different experts each.
std::vector<double> distinct_ids(std::int64_t tokens, std::int64_t top_k, std::int64_t experts) {
  std::vector<double> ids;
  Samples random(7);
  for (std::int64_t t = 0; t < tokens; ++t) {
    std::set<std::uint64_t> drawn;
    while (drawn.size() < static_cast<std::size_t>(top_k)) {
      drawn.insert(random.bits() % static_cast<std::uint64_t>(experts));
    }
    ids.insert(ids.end(), drawn.begin(), drawn.end());
  }
  return ids;
}

}  // namespace

TEST_CASE("grouped_gemm reads the matrix of each expert once for up to 64 tokens") {
  if (runtime().driver_symbol("kerncastSimProfile") == nullptr) {
    return;
  }
  const std::int64_t tokens = GENERATE(1, 8, 31, 64);
  // 64 columns at the depth of DeepSeek V3; and many experts, with fewer slots each than a block holds.
  const bool many_experts = GENERATE(false, true);
  const GemmCase of{.tokens = tokens,
                    .n = many_experts ? 256 : 64,
                    .k = many_experts ? 512 : 7168,
                    .experts = many_experts ? 128 : 12,
                    .top_k = 4,
                    .block = many_experts ? 16 : 64,
                    .weighted = many_experts,
                    .expanded = many_experts};
  const std::vector<double> ids = distinct_ids(tokens, of.top_k, of.experts);
  const std::set<double> touched(ids.begin(), ids.end());
  const double matrices = static_cast<double>(touched.size()) * static_cast<double>(of.n * of.k) * 2 / 32;
  const double rows = static_cast<double>(tokens * of.top_k * of.k) * 2 / 32;
  const auto sectors = static_cast<double>(sectors_read(make_case(of, ids)));
  INFO(sectors << " sectors, " << matrices << " of matrices and " << rows << " of rows");
  CHECK(sectors <= 1.02 * (matrices + rows));
  CHECK(sectors >= matrices + rows);
}

TEST_CASE("grouped_gemm reads matrices with small scales once for up to 64 tokens") {
  if (runtime().driver_symbol("kerncastSimProfile") == nullptr) {
    return;
  }
  const std::int64_t tokens = GENERATE(1, 8, 64);
  // A tile of columns at the depth of DeepSeek V3 and Kimi K2. Bytes of an element of k: of a, its scales, b,
  // its scales.
  struct Bytes {
    double a;
    double a_scales;
    double b;
    double b_scales;
  };
  GemmCase of{.tokens = tokens, .n = 128, .k = 7168, .experts = 6, .top_k = 4, .block = 64};
  Bytes bytes{};
  SECTION("blocks") {
    of.type = DType::fp8_e4m3;
    of.scales = 3;
    bytes = {1, 4.0 / 128, 1, 4.0 / 128 / 128};
  }
  SECTION("mxfp4") {
    of.bits = 4;
    bytes = {2, 0, 0.5, 1.0 / 32};
  }
  SECTION("int4") {
    of.bits = 4;
    of.packed_scales = DType::bf16;
    bytes = {2, 0, 0.5, 2.0 / 32};
  }
  const std::vector<double> ids = distinct_ids(tokens, of.top_k, of.experts);
  const std::set<double> touched(ids.begin(), ids.end());
  const double matrices =
      static_cast<double>(touched.size()) * static_cast<double>(of.n * of.k) * (bytes.b + bytes.b_scales);
  const double rows = static_cast<double>(tokens * of.top_k * of.k) * (bytes.a + bytes.a_scales);
  const auto sectors = static_cast<double>(sectors_read(make_case(of, ids)));
  INFO(sectors << " sectors, " << matrices / 32 << " of matrices and " << rows / 32 << " of rows");
  CHECK(sectors <= 1.02 * (matrices + rows) / 32);
  CHECK(sectors >= (matrices + rows) / 32);
}
