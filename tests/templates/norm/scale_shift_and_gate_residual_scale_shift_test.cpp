#include <kerncast/ops/norm/scale_shift.hpp>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include <kerncast/ops/norm/gate_residual_scale_shift.hpp>
#include "templates/reference/host_float.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

struct Shape {
  std::int64_t rows;
  std::int64_t width;
};

struct Types {
  DType x = DType::bf16;
  DType modulation = DType::bf16;
  DType y = DType::bf16;
  DType residual = DType::bf16;
};

/// Number of rows of an operand; 0: it has one element; -1: it is absent.
struct Spread {
  std::int64_t scale = 1;
  std::int64_t shift = 1;
  std::int64_t gate = 1;
};

TensorCase input(const char* name, DType type, std::vector<std::int64_t> shape, std::uint64_t seed,
                 double scale = 1.0, double centre = 0.0) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) {
    count *= static_cast<std::size_t>(extent);
  }
  return {.name = name,
          .dtype = type,
          .shape = std::move(shape),
          .bytes = to_bytes(type, samples(count, seed, scale, centre))};
}

void add_operand(OpCase& test, const char* name, DType type, std::int64_t rows, std::int64_t width,
                 std::uint64_t seed) {
  if (rows >= 0) {
    test.tensors.push_back(
        input(name, type, rows == 0 ? std::vector<std::int64_t>{1} : std::vector{rows, width}, seed, 0.4));
  }
}

/// A case of scale_shift, or of gate_residual_scale_shift if `gated`.
OpCase make_case(bool gated, Shape shape, Spread spread = {}, Types types = {}, bool rms = false) {
  OpCase made;
  made.op = gated ? "norm.gate_residual_scale_shift" : "norm.scale_shift";
  made.tensors = {input("x", types.x, {shape.rows, shape.width}, 1, 1.7, 0.3)};
  add_operand(made, "scale", types.modulation, spread.scale, shape.width, 2);
  add_operand(made, "shift", types.modulation, spread.shift, shape.width, 3);
  made.tensors.push_back({.name = "y", .dtype = types.y, .shape = {shape.rows, shape.width}});
  if (gated) {
    add_operand(made, "gate", types.modulation, spread.gate, shape.width, 4);
    made.tensors.push_back(input("residual", types.residual, {shape.rows, shape.width}, 5, 2.0, -0.2));
    made.tensors.push_back({.name = "r", .dtype = types.residual, .shape = {shape.rows, shape.width}});
  }
  made.params = {{"norm", rms ? "rms" : "layer"}};
  made.scalars = {{"eps", 1e-6}};
  return made;
}

void add_affine(OpCase& test, DType type, bool weight, bool bias) {
  const std::int64_t width = test.tensors[0].shape.back();
  if (weight) {
    test.tensors.push_back(input("weight", type, {width}, 7, 0.3, 1.0));
  }
  if (bias) {
    test.tensors.push_back(input("bias", type, {width}, 8, 0.5));
  }
}

TensorCase& tensor(OpCase& test, std::string_view name) {
  for (TensorCase& item : test.tensors) {
    if (item.name == name) {
      return item;
    }
  }
  throw std::out_of_range(std::string(name));
}

double value_at(const Outcome& outcome, const char* name, std::size_t element) {
  const HostTensor& from = *outcome.input.tensor(name);
  return reference::decode(from.dtype,
                           from.bytes.data() + element * static_cast<std::size_t>(size_of(from.dtype)));
}

/// The elements of a tensor after the call.
std::vector<double> values_of(const Outcome& outcome, const char* name) {
  const HostTensor& from = *outcome.input.tensor(name);
  std::vector<double> values(from.bytes.size() / static_cast<std::size_t>(size_of(from.dtype)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = value_at(outcome, name, i);
  }
  return values;
}

/// The row that a norm alone gives for `row`, with the weight and bias of `test`.
std::vector<double> norm_alone(const OpCase& test, const std::vector<double>& row, bool rms, bool split) {
  OpCase alone;
  alone.op = rms ? "norm.rms_norm" : "norm.layer_norm";
  alone.tensors = {test.tensors[0],
                   {.name = "y", .dtype = test.tensors[0].dtype, .shape = test.tensors[0].shape}};
  alone.tensors[0].bytes = to_bytes(test.tensors[0].dtype, row);
  for (const TensorCase& item : test.tensors) {
    if (item.name == "weight" || item.name == "bias") {
      alone.tensors.push_back(item);
    }
  }
  if (split) {
    alone.params = {{"hf_rounding", "true"}};
  }
  alone.scalars = test.scalars;
  return values_of(require_good(alone), "y");
}

}  // namespace

TEST_CASE("scale_shift is right at the widths of the models") {
  const bool gated = GENERATE(false, true);
  const std::int64_t width = GENERATE(3072, 5120);
  const DType modulation = GENERATE(DType::bf16, DType::f32);
  const Types types{.modulation = modulation};
  require_good(make_case(gated, {1, width}, {}, types));
  require_good(make_case(gated, {34, width}, {2, 2, 2}, types));
  require_good(make_case(gated, {150, width}, {}, types));
}

TEST_CASE("scale_shift spreads every form over the rows") {
  const bool gated = GENERATE(false, true);
  const bool rms = GENERATE(false, true);
  // 12 rows: one value, one row, 3 batches, 2 batches of 3 frames, every row.
  const std::int64_t scale = GENERATE(0, 1, 3, 6, 12);
  const std::int64_t shift = GENERATE(0, 1, 3, 6, 12);
  require_good(make_case(gated, {12, 320}, {scale, shift, shift}, {}, rms));
}

TEST_CASE("scale_shift takes batches and frames as dimensions of their own") {
  const bool gated = GENERATE(false, true);
  OpCase test = make_case(gated, {24, 96}, {6, 2, 2});
  for (TensorCase& item : test.tensors) {
    if (item.shape == std::vector<std::int64_t>{24, 96}) {
      item.shape = {2, 12, 96};
    }
  }
  // [B, F, H], and [B, 1, H] of a chunk of six.
  tensor(test, "scale").shape = {2, 3, 96};
  tensor(test, "shift").shape = {2, 1, 96};
  tensor(test, "shift").strides = {6 * 96, 96, 1};
  require_good(test);
  tensor(test, "shift") = input("shift", DType::bf16, {96}, 9);
  require_good(test);
}

TEST_CASE("scale_shift and gate_residual_scale_shift leave out what is absent") {
  // The value below -1 stands for scale_shift, which has no gate.
  const std::int64_t gate = GENERATE(-2, -1, 0, 1, 5);
  const std::int64_t scale = GENERATE(-1, 1);
  const std::int64_t shift = GENERATE(-1, 5);
  const bool rms = GENERATE(false, true);
  OpCase test = make_case(gate > -2, {5, 256}, {scale, shift, gate}, {}, rms);
  add_affine(test, DType::bf16, scale < 0, shift < 0);
  require_good(test);
}

TEST_CASE("scale_shift is right in every combination of types") {
  const bool gated = GENERATE(false, true);
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType modulation = GENERATE(DType::bf16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  const bool rms = GENERATE(false, true);
  const Types types{.x = x, .modulation = modulation, .y = y, .residual = x};
  require_good(make_case(gated, {3, 576}, {1, 3, 1}, types, rms));
}

TEST_CASE("gate_residual_scale_shift keeps the residual in a type of its own") {
  const DType x = GENERATE(DType::bf16, DType::f32);
  const DType residual = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType modulation = GENERATE(DType::bf16, DType::f16, DType::f32);
  require_good(
      make_case(true, {6, 640}, {2, 2, 2}, {.x = x, .modulation = modulation, .residual = residual}));
}

TEST_CASE("scale_shift is right with a weight and a bias") {
  const bool gated = GENERATE(false, true);
  const DType affine = GENERATE(DType::bf16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f32);
  const bool weight = GENERATE(false, true);
  const bool bias = GENERATE(false, true);
  OpCase test = make_case(gated, {4, 512}, {}, {.y = y});
  add_affine(test, affine, weight, bias);
  require_good(test);
}

TEST_CASE("scale_shift is right beyond what registers hold") {
  const bool gated = GENERATE(false, true);
  const DType type = GENERATE(DType::bf16, DType::f32);
  const Types types{.x = type, .modulation = DType::f32, .y = type, .residual = type};
  require_good(make_case(gated, {2, 65536}, {2, 1, 2}, types));
  require_good(make_case(gated, {1, 40000}, {0, 1, 0}, types, true));
  require_good(make_case(gated, {1, 65535}, {}, types));
}

TEST_CASE("scale_shift is right in place") {
  const std::int64_t width = GENERATE(3072, 65536, 77);
  OpCase plain = make_case(false, {2, width}, {2, 1, 1});
  tensor(plain, "y").alias = "x";
  require_good(plain);
  OpCase gated = make_case(true, {2, width}, {2, 1, 2});
  tensor(gated, "y").alias = "x";
  tensor(gated, "r").alias = "residual";
  require_good(gated);
}

TEST_CASE("scale_shift is right for zeros, infinity and NaN, each in a row of its own") {
  const bool gated = GENERATE(false, true);
  const bool rms = GENERATE(false, true);
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  constexpr std::int64_t width = 640;
  std::vector<double> values = samples(5 * width, 9);
  std::fill_n(values.begin(), width, 0.0);
  values[width + 17] = std::nan("");
  values[2 * width + 5] = std::numeric_limits<double>::infinity();
  values[3 * width + 6] = -std::numeric_limits<double>::infinity();
  OpCase test =
      make_case(gated, {5, width}, {}, {.x = type, .modulation = type, .y = type, .residual = type}, rms);
  tensor(test, "x").bytes = to_bytes(type, values);
  if (gated) {
    tensor(test, "residual").bytes = to_bytes(type, std::vector<double>(5 * width, 0.0));
  }
  test.scalars = {{"eps", GENERATE(0.0, 1e-6)}};
  const Outcome outcome = require_good(test);
  CHECK(value_at(outcome, "y", 3) == value_at(outcome, "shift", 3));
  CHECK(std::isnan(value_at(outcome, "y", width)));
  CHECK(std::isnan(value_at(outcome, "y", 2 * width + 5)));
  CHECK(std::isfinite(value_at(outcome, "y", 4 * width)));
}

TEST_CASE("scale_shift is right for rows far from zero, of one value, and of large and tiny ones") {
  const bool rms = GENERATE(false, true);
  const DType y = GENERATE(DType::bf16, DType::f32);
  const double scale = GENERATE(0.0, 1e-30, 1e-6, 1.0, 1e15, 1e25, 1e37);
  OpCase test = make_case(false, {2, 512}, {}, {.x = DType::f32, .modulation = DType::f32, .y = y}, rms);
  tensor(test, "x").bytes = to_bytes(DType::f32, samples(1024, 3, scale));
  require_good(test);
  tensor(test, "x").bytes = to_bytes(DType::f32, samples(1024, 3, scale, 1000.0 * scale + 100.0));
  require_good(test);
}

TEST_CASE("gate_residual_scale_shift is right for large and tiny rows") {
  const bool rms = GENERATE(false, true);
  const DType y = GENERATE(DType::bf16, DType::f32);
  const double scale = GENERATE(1e-30, 1e-19, 1e15, 1e18, 1e25);
  const Types types{.x = DType::f32, .modulation = DType::f32, .y = y, .residual = DType::f32};
  OpCase test = make_case(true, {2, 512}, {}, types, rms);
  tensor(test, "x").bytes = to_bytes(DType::f32, samples(1024, 3, scale));
  tensor(test, "residual").bytes = to_bytes(DType::f32, samples(1024, 4, scale));
  require_good(test);
}

TEST_CASE("a row that is modulated by nothing is normalised to mean 0 and deviation 1") {
  OpCase test = make_case(false, {6, 3072}, {0, 0}, {.y = DType::f32});
  tensor(test, "scale").bytes = tensor(test, "shift").bytes = to_bytes(DType::bf16, {0.0});
  const Outcome outcome = require_good(test);
  for (std::size_t row = 0; row < 6; ++row) {
    double sum = 0;
    double squares = 0;
    for (std::size_t i = 0; i < 3072; ++i) {
      const double value = value_at(outcome, "y", row * 3072 + i);
      sum += value;
      squares += value * value;
    }
    CHECK(std::fabs(sum / 3072) < 1e-6);
    CHECK(squares / 3072 == Approx(1.0).epsilon(1e-5));
  }
}

TEST_CASE("scale_shift of rows of subnormal numbers is right to what f32 holds of their mean") {
  const bool gated = GENERATE(false, true);
  const bool rms = GENERATE(false, true);
  const DType y = GENERATE(DType::bf16, DType::f32);
  const double magnitude = GENERATE(1e-38, 1e-39, 1e-41);
  OpCase test = make_case(gated, {16, 512}, {}, {.x = DType::f32, .y = y, .residual = DType::f32}, rms);
  for (TensorCase& tensor : test.tensors) {
    if (tensor.name == "x" || tensor.name == "residual") {
      tensor.bytes = to_bytes(DType::f32, samples(16 * 512, 69, magnitude, magnitude));
    }
  }
  test.scalars = {{"eps", 0.0}};
  require_good(test);
}

TEST_CASE("scale_shift is right in every rounding of eager torch, with every combination of types") {
  const auto [gated, residual] =
      GENERATE(table<bool, DType>({{false, DType::bf16}, {true, DType::bf16}, {true, DType::f32}}));
  const std::string rounding = GENERATE("rounded_norm", "f32_norm", "split_norm");
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const Types types{.x = x,
                    .modulation = GENERATE(DType::bf16, DType::f32),
                    .y = residual == DType::f32 ? DType::f16 : DType::bf16,
                    .residual = residual};
  OpCase test = make_case(gated, {6, 576}, {2, 3, 2}, types, rounding == "split_norm");
  const bool affine = types.modulation == DType::f32;
  add_affine(test, DType::bf16, affine, affine);
  const std::vector<std::byte> before = require_good(test).input.tensor("y")->bytes;
  test.params.emplace_back("aten_rounding", rounding);
  const Outcome outcome = require_good(test);
  // If all is f32, another order of the roundings to f32 seldom shows.
  const bool norm_shows = rounding == "rounded_norm" || (rounding == "split_norm" && !affine);
  const bool shows = types.modulation != DType::f32 || (rounding == "split_norm" && affine) ||
                     (norm_shows && (gated ? types.residual : x) != DType::f32);
  CHECK((!shows || before != outcome.input.tensor("y")->bytes));
}

TEST_CASE("scale_shift with torch's roundings is a norm, an addition, a product and a sum, to the bit") {
  const bool gated = GENERATE(false, true);
  const DType type = GENERATE(DType::bf16, DType::f16);
  const auto [rounding, rms] = GENERATE(
      table<std::string, bool>({{"rounded_norm", false}, {"rounded_norm", true}, {"split_norm", true}}));
  OpCase test = make_case(gated, {4, 3072}, {2, 1, 4},
                          {.x = type, .modulation = type, .y = type, .residual = type}, rms);
  add_affine(test, type, true, !rms);
  test.params.emplace_back("aten_rounding", rounding);
  const Outcome outcome = require_good(test);

  const auto rounded = [type = type](double value) { return reference::rounded(type, value); };
  std::vector<double> row = values_of(outcome, "x");
  if (gated) {
    const std::vector<double> residual = values_of(outcome, "residual");
    const std::vector<double> gate = values_of(outcome, "gate");
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = rounded(residual[i] + rounded(gate[i] * row[i]));
    }
    CHECK(row == values_of(outcome, "r"));
  }
  std::vector<double> y = norm_alone(test, row, rms, rounding == "split_norm");
  const std::vector<double> scale = values_of(outcome, "scale");
  const std::vector<double> shift = values_of(outcome, "shift");
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double product = rounded(y[i] * rounded(1.0 + scale[i / 6144 * 3072 + i % 3072]));
    y[i] = rounded(product + shift[i % 3072]);
  }
  CHECK(y == values_of(outcome, "y"));
}

TEST_CASE(
    "scale_shift in f32 of rows that are rounded first is Wan's: no operator but the last rounds to 16 "
    "bits") {
  const DType type = GENERATE(DType::bf16, DType::f16);
  OpCase gated = make_case(true, {4, 5120}, {1, 1, 1},
                           {.x = type, .modulation = DType::f32, .y = type, .residual = type});
  gated.params.emplace_back("aten_rounding", "f32_norm");
  const Outcome outcome = require_good(gated);
  OpCase plain = make_case(false, {4, 5120}, {1, 1}, {.x = type, .modulation = DType::f32, .y = type});
  plain.params.emplace_back("aten_rounding", "f32_norm");
  tensor(plain, "x").bytes = outcome.input.tensor("r")->bytes;
  for (const char* name : {"scale", "shift"}) {
    tensor(plain, name).bytes = tensor(gated, name).bytes;
  }
  CHECK(outcome.input.tensor("y")->bytes == require_good(plain).input.tensor("y")->bytes);
}

TEST_CASE("scale_shift with torch's roundings keeps zeros, infinity and NaN to their rows") {
  const bool gated = GENERATE(false, true);
  const std::string rounding = GENERATE("rounded_norm", "f32_norm", "split_norm");
  const DType type = GENERATE(DType::bf16, DType::f16);
  constexpr std::int64_t width = 640;
  std::vector<double> values = samples(4 * width, 9);
  std::fill_n(values.begin(), width, 0.0);
  values[width + 17] = std::nan("");
  values[2 * width + 5] = std::numeric_limits<double>::infinity();
  OpCase test = make_case(gated, {4, width}, {}, {.x = type, .modulation = type, .y = type, .residual = type},
                          rounding == "split_norm");
  tensor(test, "x").bytes = to_bytes(type, values);
  if (gated) {
    tensor(test, "residual").bytes = to_bytes(type, std::vector<double>(4 * width, 0.0));
  }
  test.params.emplace_back("aten_rounding", rounding);
  const Outcome outcome = require_good(test);
  CHECK(value_at(outcome, "y", 3) == value_at(outcome, "shift", 3));
  CHECK(std::isnan(value_at(outcome, "y", width)));
  CHECK(std::isnan(value_at(outcome, "y", 2 * width + 5)));
  CHECK(std::isfinite(value_at(outcome, "y", 3 * width)));
}
