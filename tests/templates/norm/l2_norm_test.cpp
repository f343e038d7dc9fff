#include <kerncast/ops/norm/l2_norm.hpp>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <set>

#include "templates/norm/shared/row_params.hpp"
#include "tests/templates/cases.hpp"
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;

namespace {

OpCase make_case(Shape shape, DType x = DType::bf16, DType y = DType::bf16) {
  OpCase made;
  made.op = "norm.l2_norm";
  made.tensors = {input_rows("x", x, shape, 1), output_rows("y", y, shape)};
  made.scalars = {{"eps", 1e-6}};
  return made;
}

norm::L2Norm good() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {4, 128}),
          .y = TensorView::contiguous(memory, DType::bf16, {4, 128})};
}

}  // namespace

TEST_CASE("l2_norm gives rows of length 1") {
  const Outcome outcome = require_good(make_case({3, 512}, DType::f32, DType::f32));
  for (std::size_t row = 0; row < 3; ++row) {
    double squares = 0;
    for (std::size_t i = 0; i < 512; ++i) {
      squares += std::pow(value_at(outcome, "y", row * 512 + i), 2);
    }
    CHECK(squares == Approx(1.0).epsilon(1e-6));
  }
}

TEST_CASE("l2_norm is right in every combination of dtypes") {
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  require_good(make_case({3, 576}, x, y));
}

TEST_CASE("l2_norm is right for rows that registers do not hold") {
  require_good(make_case({2, 65536}));
  require_good(make_case({1, 65535}, DType::f32, DType::f32));
}

TEST_CASE("l2_norm is right in place") {
  const std::int64_t width = GENERATE(2112, 1537);
  OpCase test = make_case({2, width});
  tensor_of(test, "y").alias = "x";
  require_good(test);
}

TEST_CASE("the reference of l2_norm rejects another shape") {
  Outcome outcome = require_good(make_case({2, 64}));
  HostTensor& y = outcome.input.tensors.back();
  REQUIRE(y.name == "y");
  y.shape = {1, 64};
  CHECK_FALSE(find_reference("norm.l2_norm")(outcome.input).ok);
}

TEST_CASE("l2_norm is right for zeros, infinity and NaN, each in a row of its own") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  constexpr std::int64_t width = 640;
  std::vector<double> values = samples(4 * width, 9);
  std::fill_n(values.begin(), width, 0.0);
  values[width + 17] = std::nan("");
  values[2 * width + 5] = std::numeric_limits<double>::infinity();
  OpCase test = make_case({4, width}, type, type);
  tensor_of(test, "x").bytes = to_bytes(type, values);
  test.scalars = {{"eps", GENERATE(0.0, 1e-6)}};
  const Outcome outcome = require_good(test);
  CHECK(value_at(outcome, "y", 3) == 0.0);
  CHECK(std::isnan(value_at(outcome, "y", width)));
  CHECK(std::isnan(value_at(outcome, "y", 2 * width + 5)));
  CHECK(value_at(outcome, "y", 2 * width + 6) == 0.0);
  CHECK(std::isfinite(value_at(outcome, "y", 3 * width)));
}

TEST_CASE("l2_norm is right for large and tiny values") {
  const double scale = GENERATE(1e-30, 1e-19, 1e-6, 1e15, 1e18, 1e25, 1e35);
  const DType type = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case({2, 512}, type, type);
  tensor_of(test, "x").bytes = to_bytes(type, samples(1024, 3, scale));
  require_good(test);
}

TEST_CASE("l2_norm has no parameter of a weight") {
  const OpDefinition& op = definition_of<norm::L2Norm>();
  CHECK(op.params.size() == norm::row_params::count);
  CHECK(find_param(op, "weight_dtype") == -1);
  norm::L2Norm test = good();
  CHECK(format_specialisation(op, bind(test).spec) == "hidden=128");
  test.y = TensorView::contiguous(memory + 8, DType::f32, {4, 128});
  CHECK(format_specialisation(op, bind(test).spec) == "y_dtype=f32 hidden=128 alignment=4");
  CHECK(op.scalars.at(0).default_value == 1e-6);
}

TEST_CASE("l2_norm names what is wrong with a call") {
  norm::L2Norm test = good();
  test.y.shape[1] = 64;
  CHECK_THAT(error_of(test), Contains("norm.l2_norm") && Contains("'y'") && Contains("[4, 64]"));
  test = good();
  test.eps = -1.0F;
  CHECK_THAT(error_of(test), Contains("eps is -1"));
  test = good();
  test.x = test.y = TensorView::contiguous(memory, DType::bf16, {4, 70000});
  CHECK_THAT(error_of(test), Contains("70000") && Contains("nearest valid: 65536"));
}

TEST_CASE("l2_norm knows the models with linear attention") {
  const OpDefinition& op = definition_of<norm::L2Norm>();
  ModelConfig next;
  next.norms = {{.place = "q and k", .width = 128, .kind = NormKind::l2}};
  CHECK(widths_of(op, next, "hidden") == std::set<std::string>{"128"});
  check_cases(op, next);
  CHECK(op.model_cases(deepseek_v3()).empty());
}
