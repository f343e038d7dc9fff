#include <kerncast/ops/norm/rms_norm.hpp>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "templates/reference/host_float.hpp"
#include "tests/templates/cases.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

OpCase make_case(Shape shape, DType x = DType::bf16, DType weight = DType::bf16, DType y = DType::bf16,
                 std::uint64_t seed = 1) {
  OpCase made;
  made.op = "norm.rms_norm";
  made.tensors = {input_rows("x", x, shape, seed), input_vector("weight", weight, shape.width, seed + 1),
                  output_rows("y", y, shape)};
  made.scalars = {{"eps", 1e-6}};
  return made;
}

}  // namespace

TEST_CASE("rms_norm is right at the widths of the models") {
  const std::int64_t width = GENERATE(512, 576, 1536, 2048, 2880, 3072, 4096, 5120, 7168, 8192);
  const std::int64_t rows = GENERATE(1, 300);
  if (rows == 300 && width > 4096) {
    require_good(make_case({150, width}));
  } else {
    require_good(make_case({rows, width}));
  }
}

TEST_CASE("rms_norm is right in every combination of types") {
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType weight = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  require_good(make_case({3, 576}, x, weight, y));
}

TEST_CASE("rms_norm rounds twice only when asked") {
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  const bool twice = GENERATE(true, false);
  OpCase test = make_case({4, 1536}, x, DType::bf16, y);
  test.params = {{"hf_rounding", twice ? "true" : "false"}};
  const Outcome outcome = require_good(test);

  // Numbers of elements that are exactly the result of each formula.
  int once_equal = 0;
  int twice_equal = 0;
  for (std::size_t row = 0; row < 4; ++row) {
    double squares = 0;
    for (std::size_t i = 0; i < 1536; ++i) {
      squares += std::pow(value_at(outcome, "x", row * 1536 + i), 2);
    }
    const double scale = 1.0 / std::sqrt(squares / 1536 + static_cast<double>(1e-6F));
    for (std::size_t i = 0; i < 1536; ++i) {
      const double normal = value_at(outcome, "x", row * 1536 + i) * scale;
      const double weight = value_at(outcome, "weight", i);
      const double got = value_at(outcome, "y", row * 1536 + i);
      once_equal += got == reference::rounded(y, normal * weight) ? 1 : 0;
      twice_equal += got == reference::rounded(y, reference::rounded(x, normal) * weight) ? 1 : 0;
    }
  }
  CHECK((twice ? twice_equal : once_equal) > 4 * 1536 * 99 / 100);
  // If x's type has more digits than y's, its rounding does not show.
  if (size_of(x) <= size_of(y)) {
    CHECK((twice ? once_equal : twice_equal) < 4 * 1536 * 98 / 100);
  }
}

TEST_CASE("rms_norm is right without a weight, and with an offset to it") {
  const DType y = GENERATE(DType::bf16, DType::f32);
  OpCase bare = make_case({5, 320}, DType::bf16, DType::bf16, y);
  bare.tensors.erase(bare.tensors.begin() + 1);
  require_good(bare);
  OpCase gemma = make_case({5, 320}, DType::bf16, DType::bf16, y);
  gemma.scalars.emplace_back("weight_offset", 1.0);
  require_good(gemma);
}

TEST_CASE("rms_norm is right beyond what registers hold") {
  require_good(make_case({2, 65536}));
  require_good(make_case({1, 65536}, DType::f32, DType::f32, DType::f32));
  require_good(make_case({1, 65535}));
}

TEST_CASE("rms_norm is right over leading dimensions") {
  OpCase test = make_case({6, 128});
  test.tensors[0].shape = {2, 3, 128};
  test.tensors[2].shape = {2, 3, 128};
  require_good(test);
  // A slice of a packed tensor: two levels of stride that still flatten.
  test.tensors[0].strides = {3 * 160, 160, 1};
  require_good(test);
}

TEST_CASE("rms_norm is right in place") {
  const std::int64_t width = GENERATE(7168, 65536, 77);
  OpCase test = make_case({2, width});
  test.tensors[2].alias = "x";
  require_good(test);
}

TEST_CASE("rms_norm is right for zeros, infinity and NaN, each in a row of its own") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  constexpr std::int64_t width = 640;
  std::vector<double> values = samples(5 * width, 9);
  const double infinity = std::numeric_limits<double>::infinity();
  std::fill_n(values.begin(), width, 0.0);
  values[width + 17] = std::nan("");
  values[2 * width + 5] = infinity;
  values[3 * width + 6] = -infinity;
  OpCase test = make_case({5, width}, type, type, type);
  test.tensors[0].bytes = to_bytes(type, values);
  test.scalars = {{"eps", GENERATE(0.0, 1e-6)}};
  const Outcome outcome = require_good(test);
  CHECK(value_at(outcome, "y", 3) == 0.0);
  CHECK(std::isnan(value_at(outcome, "y", width)));
  CHECK(std::isnan(value_at(outcome, "y", 2 * width + 5)));
  CHECK(value_at(outcome, "y", 2 * width + 6) == 0.0);
  CHECK(std::isfinite(value_at(outcome, "y", 4 * width)));
}

TEST_CASE("rms_norm is right for large and tiny values, whose squares f32 cannot hold") {
  const double scale = GENERATE(1e-37, 1e-30, 1e-19, 1e-6, 1e15, 1e18, 1e25, 1e37);
  const DType x = GENERATE(DType::bf16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f32);
  // Rows of one lane, of one warp, of several warps, and of elements that are not held.
  const Shape shape = GENERATE(Shape{2, 8}, Shape{2, 512}, Shape{40, 4096}, Shape{1, 40960});
  OpCase test = make_case(shape, x, y, DType::f32);
  test.tensors[0].bytes = to_bytes(x, samples(shape.count(), 3, scale));
  // One row in range among them.
  if (shape.rows > 2) {
    std::vector<double> values = samples(shape.count(), 3, scale);
    for (std::int64_t i = 0; i < shape.width; ++i) {
      values[static_cast<std::size_t>(i)] /= scale;
    }
    test.tensors[0].bytes = to_bytes(x, values);
  }
  for (const double eps : {0.0, 1e-6}) {
    test.scalars = {{"eps", eps}};
    require_good(test);
  }
}
