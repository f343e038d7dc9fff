#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include <kerncast/ops/activation/gelu_and_mul.hpp>
#include <kerncast/ops/activation/gelu_tanh_and_mul.hpp>
#include <kerncast/ops/activation/silu_and_mul.hpp>
#include <kerncast/ops/activation/swiglu_oai.hpp>
#include "templates/reference/host_float.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

constexpr const char* kinds[] = {"silu_and_mul", "gelu_and_mul", "gelu_tanh_and_mul", "swiglu_oai"};

struct Setting {
  std::int64_t rows = 3;
  std::int64_t width = 512;  ///< elements of a row of y
  DType x = DType::bf16;
  DType y = DType::bf16;
  std::vector<double> values = {};
};

OpCase make_case(const std::string& kind, const Setting& setting) {
  const auto count = static_cast<std::size_t>(setting.rows * setting.width * 2);
  OpCase made;
  made.op = "activation." + kind;
  made.tensors = {
      {.name = "x",
       .dtype = setting.x,
       .shape = {setting.rows, 2 * setting.width},
       .bytes = to_bytes(setting.x, setting.values.empty() ? samples(count, 3, 3.0) : setting.values)},
      {.name = "y", .dtype = setting.y, .shape = {setting.rows, setting.width}},
  };
  return made;
}

/// A case of masked experts with `rows` rows each, of which `counted` are valid.
OpCase make_masked(const std::string& kind, std::int64_t rows, std::int64_t width,
                   const std::vector<double>& counted) {
  const auto experts = static_cast<std::int64_t>(counted.size());
  OpCase made = make_case(kind, {.rows = experts * rows, .width = width});
  made.tensors[0].shape = {experts, rows, 2 * width};
  made.tensors[1].shape = {experts, rows, width};
  made.tensors.push_back(
      {.name = "masked_m", .dtype = DType::i32, .shape = {experts}, .bytes = to_bytes(DType::i32, counted)});
  return made;
}

double value_at(const Outcome& outcome, std::size_t element) {
  const HostTensor& y = *outcome.input.tensor("y");
  return reference::decode(y.dtype, y.bytes.data() + element * static_cast<std::size_t>(size_of(y.dtype)));
}

}  // namespace

TEST_CASE("gated activations are right at the widths of the models") {
  const std::string kind = GENERATE(from_range(std::begin(kinds), std::end(kinds)));
  const std::int64_t width = GENERATE(768, 1536, 2048, 2880, 14336);
  const std::int64_t rows = GENERATE(1, 17);
  require_good(make_case(kind, {.rows = rows, .width = width}));
}

TEST_CASE("gated activations are right in every combination of types") {
  const std::string kind = GENERATE(from_range(std::begin(kinds), std::end(kinds)));
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  require_good(make_case(kind, {.x = x, .y = y}));
}

TEST_CASE("gated activations are right over leading dimensions") {
  OpCase test = make_case("silu_and_mul", {.rows = 6});
  test.tensors[0].shape = {2, 3, 1024};
  test.tensors[1].shape = {2, 3, 512};
  require_good(test);
}

TEST_CASE("gated activations are right for gates from far below zero to far above") {
  const std::string kind = GENERATE(from_range(std::begin(kinds), std::end(kinds)));
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const double largest = type == DType::f16 ? 65504.0 : 1e30;
  const double up = std::min(largest, GENERATE(1.0, -3.0, 1e4, 1e30));
  constexpr std::int64_t width = 1024;
  std::vector<double> values(2 * width);
  for (std::size_t i = 0; i < width; ++i) {
    const double gate = (static_cast<double>(i) - 512.0) / 4.0;  // -128 to 128
    const bool interleaved = kind == "swiglu_oai";
    values[interleaved ? 2 * i : i] = gate;
    values[interleaved ? 2 * i + 1 : width + i] = up;
  }
  require_good(make_case(kind, {.rows = 1, .width = width, .x = type, .y = type, .values = values}));
}

TEST_CASE("gated activations of zeros, infinity and NaN keep to their elements") {
  const std::string kind = GENERATE(from_range(std::begin(kinds), std::end(kinds)));
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  constexpr std::int64_t width = 64;
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> values = samples(4 * 2 * width, 5);
  std::fill_n(values.begin(), 2 * width, 0.0);
  values[2 * width + 4] = std::nan("");
  values[2 * width + 9] = std::nan("");
  values[2 * width + width + 8] = infinity;
  values[4 * width + 2] = infinity;
  values[4 * width + 6] = -infinity;
  values[4 * width + 10] = infinity;
  values[4 * width + width + 10] = -infinity;
  const Outcome outcome =
      require_good(make_case(kind, {.rows = 4, .width = width, .x = type, .y = type, .values = values}));
  CHECK(value_at(outcome, 3) == 0.0);
  CHECK(std::isnan(value_at(outcome, kind == "swiglu_oai" ? width + 2 : width + 4)));
  CHECK(std::isfinite(value_at(outcome, 3 * width)));
}

TEST_CASE("swiglu_oai clamps gates from above and ups on both sides") {
  const std::vector<double> values = {9, 20, 9, -20, 7, 7, -20, 0};
  const Outcome outcome = require_good(
      make_case("swiglu_oai", {.rows = 1, .width = 4, .x = DType::f32, .y = DType::f32, .values = values}));
  const double seven = 7.0 / (1.0 + std::exp(-1.702 * 7.0));
  CHECK(value_at(outcome, 0) == Approx(8.0 * seven));
  CHECK(value_at(outcome, 1) == Approx(-6.0 * seven));
  CHECK(value_at(outcome, 2) == Approx(8.0 * seven));
  CHECK(value_at(outcome, 3) == Approx(-20.0 / (1.0 + std::exp(1.702 * 20.0))));
}

TEST_CASE("silu_and_mul limits gates from above and ups on both sides, in every combination of types") {
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  const double limit = GENERATE(10.0, 0.7, 1e-3, 1e30);
  OpCase test = make_case("silu_and_mul", {.x = x, .y = y});
  test.params = {{"limit", "true"}};
  test.scalars = {{"limit", limit}};
  require_good(test);
}

TEST_CASE("silu_and_mul with a limit gives what the limited numbers give without one") {
  const DType type = GENERATE(DType::bf16, DType::f32);
  const std::vector<double> values = {12, 3, -30, 12, 12, 3, 1, -30};
  const std::vector<double> limited = {10, 3, -30, 10, 10, 3, 1, -10};
  const Setting plain{.rows = 1, .width = 4, .x = type, .y = type, .values = limited};
  OpCase test = make_case("silu_and_mul", {.rows = 1, .width = 4, .x = type, .y = type, .values = values});
  test.params = {{"limit", "true"}};
  test.scalars = {{"limit", 10.0}};
  CHECK(require_good(test).input.tensor("y")->bytes ==
        require_good(make_case("silu_and_mul", plain)).input.tensor("y")->bytes);
}

TEST_CASE("silu_and_mul with a limit lets NaN through and limits infinity") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> values = {std::nan(""), 2,        infinity, infinity, 1,
                                      std::nan(""), infinity, -infinity};
  OpCase test = make_case("silu_and_mul", {.rows = 1, .width = 4, .x = type, .y = type, .values = values});
  test.params = {{"limit", "true"}};
  test.scalars = {{"limit", 8.0}};
  const Outcome outcome = require_good(test);
  CHECK(std::isnan(value_at(outcome, 0)));
  CHECK(std::isnan(value_at(outcome, 1)));
  CHECK(value_at(outcome, 2) == Approx(64.0 / (1.0 + std::exp(-8.0))).epsilon(0.01));
  CHECK(value_at(outcome, 3) == Approx(-64.0 / (1.0 + std::exp(-8.0))).epsilon(0.01));
}

TEST_CASE("swiglu_oai is right under other limits and factors") {
  const DType type = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case("swiglu_oai", {.x = type, .y = type});
  test.scalars = {{"limit", GENERATE(0.5, 10.0)}, {"alpha", GENERATE(1.0, -0.5, 1.702)}};
  require_good(test);
}

TEST_CASE("gated activations with a limit under a mask touch only the rows that count") {
  OpCase test = make_masked("silu_and_mul", 16, 128, {0, 5, 16, 1, 9});
  test.params = {{"limit", "true"}};
  test.scalars = {{"limit", 1.5}};
  require_good(test);
}

TEST_CASE("gated activations under a mask touch only the rows that count") {
  const std::string kind = GENERATE(from_range(std::begin(kinds), std::end(kinds)));
  const std::vector<double> counted = {0, 5, 16, 1, 9};
  OpCase test = make_masked(kind, 16, 128, counted);
  const bool strided = GENERATE(false, true);
  if (strided) {
    test.tensors[0].strides = {17 * 264, 264, 1};
    test.tensors[1].strides = {20 * 136, 136, 1};
  }
  const Outcome outcome = require_good(test);
  const HostTensor& y = *outcome.input.tensor("y");
  for (std::size_t expert = 0; expert < counted.size(); ++expert) {
    for (auto row = static_cast<std::size_t>(counted[expert]); row < 16; ++row) {
      const std::size_t at =
          expert * static_cast<std::size_t>(y.strides[0]) + row * static_cast<std::size_t>(y.strides[1]);
      CHECK(std::all_of(y.bytes.begin() + static_cast<std::ptrdiff_t>(2 * at),
                        y.bytes.begin() + static_cast<std::ptrdiff_t>(2 * (at + 128)),
                        [](std::byte b) { return b == std::byte{0xcd}; }));
    }
  }
}

TEST_CASE("gated activations are right under a mask past the rows there are, and for none") {
  require_good(make_masked("silu_and_mul", 4, 64, {-3, 400, 4}));
  require_good(make_masked("silu_and_mul", 0, 64, {0, 0}));
}

TEST_CASE("gated activations are finite wherever their result is") {
  const std::string kind = GENERATE(from_range(std::begin(kinds), std::end(kinds)));
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  std::vector<double> values = edge_gates(x, 1);
  const auto pairs = static_cast<std::int64_t>(values.size() / 2);
  require_good(make_case(kind, {.rows = pairs, .width = 1, .x = x, .y = y, .values = values}));
}
