#include <kerncast/ops/norm/layer_norm.hpp>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "tests/templates/cases.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

OpCase make_case(Shape shape, DType x = DType::bf16, DType y = DType::bf16, DType weight = DType::bf16) {
  OpCase made;
  made.op = "norm.layer_norm";
  made.tensors = {input_rows("x", x, shape, 61), input_vector("weight", weight, shape.width, 62),
                  input_vector("bias", weight, shape.width, 63, 0.0), output_rows("y", y, shape)};
  made.scalars = {{"eps", 1e-6}};
  return made;
}

/// A case without weight and bias, which could hide errors of the normalised row.
OpCase bare_case(Shape shape, DType type, const std::vector<double>& values) {
  OpCase made = make_case(shape, type, type, type);
  drop_tensor(made, "weight");
  drop_tensor(made, "bias");
  tensor_of(made, "x").bytes = to_bytes(type, values);
  return made;
}

}  // namespace

TEST_CASE("layer_norm is right at the widths of the models") {
  const std::int64_t width = GENERATE(1024, 1536, 2048, 2880, 3072, 4096, 5120, 7168, 8192);
  const std::int64_t rows = GENERATE(1, 17, 140);
  require_good(make_case({rows == 140 && width > 3072 ? 17 : rows, width}));
}

TEST_CASE("layer_norm is right in every combination of types") {
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  require_good(make_case({3, 320}, x, y, GENERATE(DType::bf16, DType::f16, DType::f32)));
}

TEST_CASE("layer_norm is right with and without weight and bias") {
  const DType y = GENERATE(DType::bf16, DType::f32);
  const bool weight = GENERATE(true, false);
  const bool bias = GENERATE(true, false);
  OpCase test = make_case({5, 320}, DType::bf16, y);
  if (!weight) {
    drop_tensor(test, "weight");
  }
  if (!bias) {
    drop_tensor(test, "bias");
  }
  require_good(test);
}

TEST_CASE("layer_norm gives rows of mean 0 and variance 1") {
  const Outcome outcome = require_good(bare_case({3, 3072}, DType::f32, samples(3 * 3072, 5, 4.0, 7.0)));
  for (std::size_t row = 0; row < 3; ++row) {
    double sum = 0;
    double squares = 0;
    for (std::size_t i = 0; i < 3072; ++i) {
      const double value = value_at(outcome, "y", row * 3072 + i);
      sum += value;
      squares += value * value;
    }
    CHECK(std::fabs(sum / 3072) < 1e-6);
    CHECK(std::fabs(squares / 3072 - 1.0) < 1e-5);
  }
}

TEST_CASE("layer_norm is right far from zero") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const double centre = GENERATE(30.0, -1000.0, 20000.0);
  require_good(bare_case({3, 3072}, type, samples(3 * 3072, 71, 1.0, centre)));
  // This row is too wide for registers.
  require_good(bare_case({1, 65536}, type, samples(65536, 72, 1.0, centre)));
}

TEST_CASE("layer_norm of a constant row is exactly zero") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const double value = GENERATE(1.2345, -777.7, 54321.0, 1e-7);
  const std::int64_t width = GENERATE(1, 3, 2880, 5120, 65536);
  const Outcome outcome =
      run_case(bare_case({1, width}, type, std::vector<double>(static_cast<std::size_t>(width), value)));
  INFO(outcome.verdict.detail);
  CHECK(outcome.verdict.ok);
  for (std::size_t i = 0; i < static_cast<std::size_t>(width); i += 97) {
    REQUIRE(value_at(outcome, "y", i) == 0.0);
  }
}

TEST_CASE("layer_norm does not change where a row is shifted by what its type holds") {
  std::vector<double> values = samples(2 * 1024, 81, 3.0);
  for (double& value : values) {
    value = std::round(value * 16.0) / 16.0;
  }
  const OpCase plain = bare_case({2, 1024}, DType::f32, values);
  for (double& value : values) {
    value += 4096.0;
  }
  const OpCase shifted = bare_case({2, 1024}, DType::f32, values);
  CHECK(bytes_of(require_good(plain), "y") == bytes_of(require_good(shifted), "y"));
}

TEST_CASE("layer_norm is right beyond what registers hold") {
  const DType type = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case({2, 65536}, type, type, type);
  require_good(test);
  tensor_of(test, "y").alias = "x";
  require_good(test);
  require_good(make_case({1, 65535}));
}

TEST_CASE("layer_norm is right in place, over leading dimensions") {
  OpCase test = make_case({6, 128});
  tensor_of(test, "y").alias = "x";
  tensor_of(test, "x").shape = tensor_of(test, "y").shape = {2, 3, 128};
  require_good(test);
}

TEST_CASE("layer_norm is right for zeros, infinity and NaN, each in a row of its own") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  constexpr std::int64_t width = 640;
  std::vector<double> values = samples(5 * width, 9);
  const Outcome whole = require_good(bare_case({5, width}, type, values));
  const double infinity = std::numeric_limits<double>::infinity();
  std::fill_n(values.begin(), width, 0.0);
  values[width + 17] = std::nan("");
  values[2 * width + 5] = infinity;
  values[3 * width + 6] = -infinity;
  values[3 * width + 7] = infinity;
  OpCase test = bare_case({5, width}, type, values);
  test.scalars = {{"eps", GENERATE(0.0, 1e-6)}};
  const Outcome outcome = require_good(test);
  CHECK(value_at(outcome, "y", 3) == 0.0);
  CHECK(std::isnan(value_at(outcome, "y", width)));
  CHECK(std::isnan(value_at(outcome, "y", 2 * width + 6)));
  CHECK(std::isnan(value_at(outcome, "y", 3 * width)));
  const auto last = static_cast<std::ptrdiff_t>(4 * width * size_of(type));
  CHECK(std::isfinite(value_at(whole, "y", 4 * width)));
  CHECK(std::isfinite(value_at(outcome, "y", 4 * width)));
  if (test.scalars[0].second > 0) {
    CHECK(std::equal(bytes_of(whole, "y").begin() + last, bytes_of(whole, "y").end(),
                     bytes_of(outcome, "y").begin() + last));
  }
}

TEST_CASE("layer_norm is right for large and tiny values") {
  const double scale = GENERATE(1e-30, 1e-19, 1e15, 1e18, 1e25, 1e37);
  const DType x = GENERATE(DType::bf16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case({2, 512}, x, y);
  tensor_of(test, "x").bytes = to_bytes(x, samples(1024, 3, scale));
  for (const double eps : {0.0, 1e-6}) {
    test.scalars = {{"eps", eps}};
    require_good(test);
  }
}

TEST_CASE("layer_norm of a constant row of any magnitude is zero without eps") {
  const DType x = GENERATE(DType::bf16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f32);
  const double value = GENERATE(1e-37, 1e-20, 1e19, 1e30, -3e38);
  OpCase test = make_case({2, 512}, x, y);
  drop_tensor(test, "weight");
  drop_tensor(test, "bias");
  tensor_of(test, "x").bytes = to_bytes(x, std::vector<double>(1024, value));
  test.scalars = {{"eps", 0.0}};
  const Outcome outcome = require_good(test);
  for (std::size_t i = 0; i < 1024; i += 97) {
    REQUIRE(value_at(outcome, "y", i) == 0.0);
  }
}

TEST_CASE("layer_norm is right for elements whose difference f32 does not hold") {
  const DType x = GENERATE(DType::bf16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case({2, 512}, x, y);
  std::vector<double> values = samples(1024, 3, 1e38);
  values[0] = values[600] = 3e38;
  values[1] = values[700] = -3e38;
  tensor_of(test, "x").bytes = to_bytes(x, values);
  require_good(test);
}

TEST_CASE("layer_norm of rows of subnormal numbers is right to what f32 holds of their mean") {
  const DType x = GENERATE(DType::bf16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f32);
  const double magnitude = GENERATE(1e-38, 1e-39, 1e-41, 1e-44);
  const double eps = GENERATE(0.0, 1e-6);
  OpCase test = make_case({16, 512}, x, y, DType::f32);
  tensor_of(test, "x").bytes = to_bytes(x, samples(16 * 512, 67, magnitude, magnitude));
  test.scalars = {{"eps", eps}};
  require_good(test);
  drop_tensor(test, "weight");
  drop_tensor(test, "bias");
  require_good(test);
}
