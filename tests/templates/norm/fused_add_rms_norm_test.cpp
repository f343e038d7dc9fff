#include <kerncast/ops/norm/fused_add_rms_norm.hpp>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "tests/templates/cases.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

OpCase make_case(Shape shape, DType x = DType::bf16, DType residual = DType::bf16, DType y = DType::bf16,
                 DType weight = DType::bf16) {
  OpCase made;
  made.op = "norm.fused_add_rms_norm";
  made.tensors = {input_rows("x", x, shape, 31), input_rows("residual", residual, shape, 32),
                  output_rows("residual_out", residual, shape, "residual"),
                  input_vector("weight", weight, shape.width, 33), output_rows("y", y, shape)};
  made.scalars = {{"eps", 1e-6}};
  return made;
}

}  // namespace

TEST_CASE("fused_add_rms_norm is right at the widths of the models") {
  const std::int64_t width = GENERATE(2048, 2880, 4096, 5120, 7168, 8192);
  const std::int64_t rows = GENERATE(1, 17, 140);
  require_good(make_case({rows == 140 && width > 5120 ? 17 : rows, width}));
}

TEST_CASE("fused_add_rms_norm is right in every combination of types") {
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType residual = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  require_good(make_case({3, 320}, x, residual, y, GENERATE(DType::bf16, DType::f32)));
}

TEST_CASE("fused_add_rms_norm normalises the sum as it was before it was rounded") {
  // In f16 the residual swallows x; y must still depend on it.
  OpCase test = make_case({1, 64}, DType::f16, DType::f16, DType::f32);
  tensor_of(test, "x").bytes = to_bytes(DType::f16, samples(64, 5, 0.0, 0.25));
  tensor_of(test, "residual").bytes = to_bytes(DType::f16, std::vector<double>(64, 1024.0));
  drop_tensor(test, "weight");
  test.scalars = {{"eps", 1e6}};
  const Outcome outcome = require_good(test);
  CHECK(value_at(outcome, "residual_out", 9) == 1024.0);
  const double exact = 1024.25 / std::sqrt(1024.25 * 1024.25 + 1e6);
  CHECK(std::fabs(value_at(outcome, "y", 9) - exact) < 1e-6);
}

TEST_CASE("fused_add_rms_norm normalises the sum as it is stored, if it is told to") {
  OpCase test = make_case({1, 64}, DType::f16, DType::f16, DType::f32);
  tensor_of(test, "x").bytes = to_bytes(DType::f16, samples(64, 5, 0.0, 0.25));
  tensor_of(test, "residual").bytes = to_bytes(DType::f16, std::vector<double>(64, 1024.0));
  drop_tensor(test, "weight");
  test.params = {{"round_residual", "true"}};
  test.scalars = {{"eps", 1e6}};
  const Outcome outcome = require_good(test);
  const double exact = 1024.0 / std::sqrt(1024.0 * 1024.0 + 1e6);
  CHECK(value_at(outcome, "y", 9) == static_cast<double>(static_cast<float>(exact)));
}

TEST_CASE("fused_add_rms_norm is rms_norm of the sum that it stores, if that is rounded first") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  const std::string twice = GENERATE("false", "true");
  const std::int64_t width = GENERATE(77, 2880, 65536);
  OpCase fused = make_case({2, width}, type, type, y, DType::bf16);
  fused.params = {{"round_residual", "true"}, {"hf_rounding", twice}};
  const Outcome outcome = require_good(fused);
  OpCase plain = fused;
  plain.op = "norm.rms_norm";
  plain.params = {{"hf_rounding", twice}};
  drop_tensor(plain, "residual");
  drop_tensor(plain, "residual_out");
  tensor_of(plain, "x").bytes = bytes_of(outcome, "residual_out");
  CHECK(bytes_of(outcome, "y") == bytes_of(require_good(plain), "y"));
}

TEST_CASE("fused_add_rms_norm rounds the sum to the residual's type in every combination of types") {
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType residual = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case({3, 320}, x, residual, y);
  const std::vector<std::byte> before = bytes_of(require_good(test), "y");
  test.params = {{"round_residual", "true"}};
  const bool same = before == bytes_of(require_good(test), "y");
  // Rounding to f32 shows in f32 alone.
  CHECK(same == (residual == DType::f32 && y != DType::f32));
}

TEST_CASE("fused_add_rms_norm is right where x and the residual cancel") {
  const DType type = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case({2, 512}, type, type, type);
  std::vector<double> values = samples(1024, 6);
  tensor_of(test, "x").bytes = to_bytes(type, values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = -values[i] * (i < 512 ? 1.0 : 1.0 + 0x1p-5);
  }
  tensor_of(test, "residual").bytes = to_bytes(type, values);
  const Outcome outcome = require_good(test);
  CHECK(value_at(outcome, "y", 5) == 0.0);
  CHECK(value_at(outcome, "y", 517) != 0.0);
}

TEST_CASE(
    "fused_add_rms_norm is right with Hugging Face's rounding, without a weight, and with an offset to it") {
  const DType y = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case({4, 320}, DType::bf16, DType::bf16, y);
  SECTION("rounding") {
    test.params = {{"hf_rounding", "true"}};
  }
  SECTION("no weight") {
    drop_tensor(test, "weight");
  }
  SECTION("offset") {
    test.scalars.emplace_back("weight_offset", 1.0);
  }
  require_good(test);
}

TEST_CASE("fused_add_rms_norm is right beyond what registers hold") {
  require_good(make_case({1, 65536}));
  require_good(make_case({1, 65536}, DType::f32, DType::f32, DType::f32, DType::f32));
  OpCase in_place = make_case({2, 65536});
  tensor_of(in_place, "y").alias = "x";
  require_good(in_place);
}

TEST_CASE("fused_add_rms_norm is right in place, over leading dimensions") {
  OpCase test = make_case({6, 128});
  tensor_of(test, "y").alias = "x";
  for (TensorCase& tensor : test.tensors) {
    if (tensor.name != "weight") {
      tensor.shape = {2, 3, 128};
    }
  }
  require_good(test);
}

TEST_CASE("fused_add_rms_norm keeps zeros, infinity and NaN to their rows") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  constexpr std::int64_t width = 640;
  OpCase sound = make_case({5, width}, type, type, type);
  std::vector<double> x = samples(5 * width, 9);
  std::vector<double> residual = samples(5 * width, 10);
  tensor_of(sound, "x").bytes = to_bytes(type, x);
  tensor_of(sound, "residual").bytes = to_bytes(type, residual);
  const Outcome whole = require_good(sound);

  const double infinity = std::numeric_limits<double>::infinity();
  std::fill_n(x.begin(), width, 0.0);
  std::fill_n(residual.begin(), width, 0.0);
  x[width + 17] = std::nan("");
  residual[2 * width + 5] = infinity;
  x[3 * width + 6] = infinity;
  residual[3 * width + 6] = -infinity;
  OpCase test = sound;
  tensor_of(test, "x").bytes = to_bytes(type, x);
  tensor_of(test, "residual").bytes = to_bytes(type, residual);
  test.scalars = {{"eps", GENERATE(0.0, 1e-6)}};
  const Outcome outcome = require_good(test);
  CHECK(value_at(outcome, "y", 3) == 0.0);
  CHECK(std::isnan(value_at(outcome, "y", width)));
  CHECK(std::isfinite(value_at(outcome, "residual_out", width)));
  CHECK(std::isnan(value_at(outcome, "y", 2 * width + 5)));
  CHECK(value_at(outcome, "y", 2 * width + 6) == 0.0);
  CHECK(std::isnan(value_at(outcome, "residual_out", 3 * width + 6)));
  const auto last = static_cast<std::ptrdiff_t>(4 * width * size_of(type));
  CHECK(std::equal(bytes_of(whole, "residual_out").begin() + last, bytes_of(whole, "residual_out").end(),
                   bytes_of(outcome, "residual_out").begin() + last));
}

TEST_CASE("fused_add_rms_norm is right for large and tiny values") {
  const double scale = GENERATE(1e-30, 1e-19, 1e15, 1e18, 1e25);
  OpCase test = make_case({2, 512}, DType::f32, DType::f32, DType::f32, DType::f32);
  tensor_of(test, "x").bytes = to_bytes(DType::f32, samples(1024, 3, scale));
  tensor_of(test, "residual").bytes = to_bytes(DType::f32, samples(1024, 4, scale));
  require_good(test);
}

TEST_CASE("fused_add_rms_norm is rms_norm of the sum where the sum is exact") {
  // Sums of multiples of 1/8 below 16 are exact in bf16.
  constexpr Shape shape{3, 2048};
  std::vector<double> x = samples(shape.count(), 51, 2.0);
  std::vector<double> residual = samples(shape.count(), 52, 2.0);
  std::vector<double> sums(shape.count());
  for (std::size_t i = 0; i < shape.count(); ++i) {
    x[i] = std::round(x[i] * 8.0) / 8.0;
    residual[i] = std::round(residual[i] * 8.0) / 8.0;
    sums[i] = x[i] + residual[i];
  }
  OpCase fused = make_case(shape);
  tensor_of(fused, "x").bytes = to_bytes(DType::bf16, x);
  tensor_of(fused, "residual").bytes = to_bytes(DType::bf16, residual);
  OpCase plain = fused;
  plain.op = "norm.rms_norm";
  drop_tensor(plain, "residual");
  drop_tensor(plain, "residual_out");
  tensor_of(plain, "x").bytes = to_bytes(DType::bf16, sums);
  CHECK(bytes_of(require_good(fused), "y") == bytes_of(require_good(plain), "y"));
}

TEST_CASE("the check of fused_add_rms_norm takes right results of f32 for wrong in none of many rows") {
  const bool twice = GENERATE(true, false);
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(0, 16)));
  OpCase test = make_case({300, 512}, DType::f32, DType::f32, DType::f32, DType::f32);
  tensor_of(test, "x").bytes = to_bytes(DType::f32, samples(300 * 512, 2000 + seed));
  tensor_of(test, "residual").bytes = to_bytes(DType::f32, samples(300 * 512, 3000 + seed));
  test.params = {{"hf_rounding", twice ? "true" : "false"}};
  require_good(test);
}
