#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include <kerncast/ops/moe/align_block_size.hpp>
#include <kerncast/ops/moe/grouped_gemm.hpp>
#include "tests/templates/moe/expert_ids.hpp"
#include "tests/templates/moe/grouped_gemm_case.hpp"

using namespace kerncast;
using namespace kerncast::test;

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
