#include <kerncast/ops/norm/gated_rms_norm.hpp>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "tests/templates/cases.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

OpCase make_case(Shape shape, DType x = DType::bf16, DType z = DType::bf16, DType y = DType::bf16,
                 DType weight = DType::bf16, const char* gate = "silu") {
  OpCase made;
  made.op = "norm.gated_rms_norm";
  made.tensors = {input_rows("x", x, shape, 41), input_rows("z", z, shape, 42, 3.0),
                  input_vector("weight", weight, shape.width, 43), output_rows("y", y, shape)};
  made.params = {{"gate", gate}};
  made.scalars = {{"eps", 1e-6}};
  return made;
}

}  // namespace

TEST_CASE("gated_rms_norm is right at widths of heads and of models") {
  const std::int64_t width = GENERATE(128, 256, 1536, 2880, 4096, 5120, 7168, 8192);
  const std::int64_t rows = GENERATE(1, 17, 140);
  const Shape shape{rows == 140 && width > 4096 ? 17 : rows, width};
  require_good(make_case(shape));
  if (rows == 17) {
    require_good(make_case(shape, DType::bf16, DType::bf16, DType::bf16, DType::bf16, "sigmoid"));
  }
}

TEST_CASE("gated_rms_norm is right in every combination of types") {
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType z = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType weight = GENERATE(DType::bf16, DType::f32);
  require_good(make_case({3, 320}, x, z, y, weight));
  require_good(make_case({3, 320}, x, z, y, weight, "sigmoid"));
}

TEST_CASE(
    "gated_rms_norm is right with Hugging Face's rounding, without a weight, and with an offset to it") {
  const DType y = GENERATE(DType::bf16, DType::f32);
  const char* gate = GENERATE("silu", "sigmoid");
  OpCase test = make_case({4, 320}, DType::bf16, DType::bf16, y, DType::bf16, gate);
  SECTION("rounding") {
    test.params.emplace_back("hf_rounding", "true");
  }
  SECTION("no weight") {
    drop_tensor(test, "weight");
  }
  SECTION("offset") {
    test.scalars.emplace_back("weight_offset", 1.0);
  }
  require_good(test);
}

TEST_CASE("gated_rms_norm is right under gates that open and close wholly") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  OpCase test = make_case({2, 512}, type, type, type, type, GENERATE("silu", "sigmoid"));
  tensor_of(test, "z").bytes = to_bytes(type, samples(1024, 44, GENERATE(1e-6, 30.0, 90.0, 2e4)));
  require_good(test);
}

TEST_CASE("gated_rms_norm is rms_norm times the gate where the gate is open") {
  // silu(128) is 128, a power of two, and sigmoid(128) is 1.
  const bool is_silu = GENERATE(true, false);
  OpCase gated =
      make_case({3, 2048}, DType::bf16, DType::bf16, DType::bf16, DType::bf16, is_silu ? "silu" : "sigmoid");
  tensor_of(gated, "z").bytes = to_bytes(DType::bf16, std::vector<double>(3 * 2048, 128.0));
  OpCase plain = gated;
  plain.op = "norm.rms_norm";
  plain.params.clear();
  drop_tensor(plain, "z");
  const Outcome with = require_good(gated);
  const Outcome without = require_good(plain);
  for (std::size_t i = 0; i < std::size_t{3} * 2048; ++i) {
    REQUIRE(value_at(with, "y", i) == (is_silu ? 128.0 : 1.0) * value_at(without, "y", i));
  }
}

TEST_CASE("gated_rms_norm is right beyond what registers hold") {
  const DType type = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case({1, 65536}, type, type, type, type);
  require_good(test);
  tensor_of(test, "y").alias = "x";
  require_good(test);
}

TEST_CASE("gated_rms_norm is right for 200003 heads") {
  // The value heads of Qwen3-Next, in a number that no power of two divides.
  const Shape part{1009, 128};
  const std::int64_t rows = 200'003;
  OpCase test = make_case(part);
  for (TensorCase& tensor : test.tensors) {
    if (tensor.shape.size() == 2) {
      tensor.shape[0] = rows;
    }
    if (tensor.shape.size() == 2 && !tensor.bytes.empty()) {
      const std::vector<std::byte> once = tensor.bytes;
      tensor.bytes.resize(static_cast<std::size_t>(rows * part.width * size_of(tensor.dtype)));
      for (std::size_t i = once.size(); i < tensor.bytes.size(); ++i) {
        tensor.bytes[i] = once[i % once.size()];
      }
    }
  }
  require_good(test);
}

TEST_CASE("gated_rms_norm is right in place, over leading dimensions") {
  OpCase test = make_case({6, 128});
  tensor_of(test, "y").alias = GENERATE("x", "z");
  for (const char* name : {"x", "y", "z"}) {
    tensor_of(test, name).shape = {2, 3, 128};
  }
  require_good(test);
}

TEST_CASE("gated_rms_norm is right for zeros, infinity and NaN, each in a row of its own") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  constexpr std::int64_t width = 640;
  std::vector<double> x = samples(5 * width, 9);
  std::vector<double> z = samples(5 * width, 10);
  std::fill_n(x.begin(), width, 0.0);
  x[width + 17] = std::nan("");
  x[2 * width + 5] = std::numeric_limits<double>::infinity();
  z[3 * width + 6] = std::nan("");
  z[3 * width + 7] = std::numeric_limits<double>::infinity();
  OpCase test = make_case({5, width}, type, type, type);
  tensor_of(test, "x").bytes = to_bytes(type, x);
  tensor_of(test, "z").bytes = to_bytes(type, z);
  test.scalars = {{"eps", GENERATE(0.0, 1e-6)}};
  const Outcome outcome = require_good(test);
  CHECK(value_at(outcome, "y", 3) == 0.0);
  CHECK(std::isnan(value_at(outcome, "y", width)));
  CHECK(std::isnan(value_at(outcome, "y", 2 * width + 5)));
  CHECK(value_at(outcome, "y", 2 * width + 6) == 0.0);
  CHECK(std::isnan(value_at(outcome, "y", 3 * width + 6)));
  CHECK(std::isinf(value_at(outcome, "y", 3 * width + 7)));
  CHECK(std::isfinite(value_at(outcome, "y", 3 * width + 8)));
  CHECK(std::isfinite(value_at(outcome, "y", 4 * width)));
}

TEST_CASE("gated_rms_norm with a sigmoid gate is right for infinite gates, NaN and rows of infinity") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  constexpr std::int64_t width = 640;
  std::vector<double> x = samples(4 * width, 19);
  std::vector<double> z = samples(4 * width, 20);
  z[3] = std::numeric_limits<double>::infinity();
  z[4] = -std::numeric_limits<double>::infinity();
  z[width + 6] = std::nan("");
  x[2 * width + 5] = std::numeric_limits<double>::infinity();
  OpCase test = make_case({4, width}, type, type, type, type, "sigmoid");
  tensor_of(test, "x").bytes = to_bytes(type, x);
  tensor_of(test, "z").bytes = to_bytes(type, z);
  const Outcome outcome = require_good(test);
  CHECK(std::isfinite(value_at(outcome, "y", 3)));
  CHECK(value_at(outcome, "y", 4) == 0.0);
  CHECK(std::isnan(value_at(outcome, "y", width + 6)));
  CHECK(std::isfinite(value_at(outcome, "y", width + 7)));
  CHECK(std::isnan(value_at(outcome, "y", 2 * width + 5)));
  CHECK(std::isfinite(value_at(outcome, "y", 3 * width)));
}

TEST_CASE("gated_rms_norm is right for large and tiny values") {
  const double scale = GENERATE(1e-30, 1e-19, 1e-6, 1e15, 1e18, 1e25, 1e37);
  const DType x = GENERATE(DType::bf16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case({3, 512}, x, x, y);
  tensor_of(test, "x").bytes = to_bytes(x, samples(3 * 512, 3, scale));
  test.scalars = {{"eps", GENERATE(0.0, 1e-6)}};
  require_good(test);
}
