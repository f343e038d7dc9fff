#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include <kerncast/ops/quant/per_tensor_fp8.hpp>
#include <kerncast/ops/quant/per_token_fp8.hpp>
#include <kerncast/ops/quant/per_token_int8.hpp>
#include "templates/reference/host_float.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

/// The ops with one scale for each row or for the tensor.
using namespace kerncast;
using namespace kerncast::test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const std::vector<std::string> kinds = {"per_token_fp8", "per_token_int8", "per_tensor_fp8", "static"};

struct Setting {
  std::int64_t rows = 3;
  std::int64_t width = 1024;
  DType x = DType::bf16;
  std::vector<double> values = {};
  double scale = 0.03;  ///< the given scale of a static quantisation
};

OpCase make_case(const std::string& kind, const Setting& setting) {
  const auto count = static_cast<std::size_t>(setting.rows * setting.width);
  std::vector<double> values = setting.values;
  if (values.empty()) {
    values = samples(count, 11);
    for (std::size_t i = 0; i < count; ++i) {
      // Rows differ much in magnitude, so that the scale of another row shows.
      values[i] *= std::exp2(static_cast<double>(i / static_cast<std::size_t>(setting.width) * 7 % 5) - 2.0);
    }
  }
  OpCase made;
  made.op = "quant." + (kind == "static" ? "per_tensor_fp8" : kind);
  made.tensors = {
      {.name = "x",
       .dtype = setting.x,
       .shape = {setting.rows, setting.width},
       .bytes = to_bytes(setting.x, values)},
      {.name = "q",
       .dtype = kind == "per_token_int8" ? DType::i8 : DType::fp8_e4m3,
       .shape = {setting.rows, setting.width}},
  };
  if (kind == "static") {
    made.tensors.push_back(
        {.name = "scale", .dtype = DType::f32, .shape = {1}, .bytes = to_bytes(DType::f32, {setting.scale})});
  } else if (kind == "per_tensor_fp8") {
    made.tensors.push_back({.name = "s", .dtype = DType::f32, .shape = {1}});
    made.tensors.push_back(
        {.name = "workspace", .dtype = DType::f32, .shape = {quant::per_tensor_fp8_workspace_elements}});
  } else {
    made.tensors.push_back({.name = "s", .dtype = DType::f32, .shape = {setting.rows, 1}});
  }
  return made;
}

double value_at(const Outcome& outcome, const char* name, std::size_t element) {
  const HostTensor& tensor = *outcome.input.tensor(name);
  return reference::decode(tensor.dtype,
                           tensor.bytes.data() + element * static_cast<std::size_t>(size_of(tensor.dtype)));
}

}  // namespace

TEST_CASE("whole rows and tensors are quantised at the widths of the models") {
  const std::string kind = GENERATE(from_range(kinds));
  const std::int64_t width = GENERATE(512, 768, 1536, 2048, 2880, 4096, 5120, 7168, 14336, 18432, 28672);
  require_good(make_case(kind, {.rows = 1, .width = width}));
  require_good(make_case(kind, {.rows = 5, .width = width}));
}

TEST_CASE("whole rows and tensors are right for every type of x") {
  const std::string kind = GENERATE(from_range(kinds));
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  require_good(make_case(kind, {.x = x}));
}

TEST_CASE("whole rows and tensors are right with many rows, and the widest") {
  const std::string kind = GENERATE(from_range(kinds));
  require_good(make_case(kind, {.rows = 300, .width = 1536}));
  require_good(make_case(kind, {.rows = 70000, .width = 8}));
  require_good(make_case(kind, {.rows = 1, .width = 65536, .x = DType::f32}));
}

TEST_CASE("whole rows and tensors are right over strided rows and unaligned views") {
  const std::string kind = GENERATE(from_range(kinds));
  const std::int64_t pad = GENERATE(0, 8, 4, 1);
  const std::int64_t q_pad = GENERATE(0, 16, 2);
  OpCase test = make_case(kind, {});
  test.tensors[0].strides = {1024 + pad, 1};
  test.tensors[1].strides = {1024 + q_pad, 1};
  require_good(test);
  test.tensors[0].offset = 1;
  require_good(test);
  test.tensors[0].offset = 0;
  test.tensors[1].offset = 3;
  require_good(test);
}

TEST_CASE("row scales may be strided, and rows lie in leading dimensions") {
  OpCase test = make_case("per_token_fp8", {.rows = 6});
  test.tensors[0].shape = {2, 3, 1024};
  test.tensors[1].shape = {2, 3, 1024};
  test.tensors[2].shape = {2, 3, 1};
  test.tensors[2].strides = {15, 5, 1};
  require_good(test);
}

TEST_CASE("whole rows and tensors are right for zeros, infinity and NaN") {
  const std::string kind = GENERATE(from_range(kinds));
  const bool integer = kind == "per_token_int8";
  std::vector<double> values(640, 0.0);
  const Outcome zeros = require_good(make_case(kind, {.rows = 1, .width = 640, .values = values}));
  CHECK(value_at(zeros, "q", 17) == 0.0);
  values = samples(640, 3);
  values[7] = std::nan("");
  const Outcome nan = require_good(make_case(kind, {.rows = 1, .width = 640, .values = values}));
  CHECK(nan.input.tensor("q")->bytes[7] == (integer ? std::byte{0} : std::byte{0x7f}));
  CHECK(std::isfinite(value_at(nan, "q", 8)));
  std::fill(values.begin(), values.end(), std::nan(""));
  require_good(make_case(kind, {.rows = 1, .width = 640, .values = values}));
  values = samples(640, 4);
  values[9] = -std::numeric_limits<double>::infinity();
  require_good(make_case(kind, {.rows = 1, .width = 640, .values = values}));
}

TEST_CASE("row scales keep to their rows") {
  const std::string kind = GENERATE("per_token_fp8", "per_token_int8");
  std::vector<double> values = samples(5 * 640, 73);
  const Outcome whole = require_good(make_case(kind, {.rows = 5, .width = 640, .values = values}));
  std::fill_n(values.begin() + 640, 640, std::nan(""));
  std::fill_n(values.begin() + 2 * 640, 640, 0.0);
  values[3 * 640 + 100] = std::numeric_limits<double>::infinity();
  const Outcome spoiled = require_good(make_case(kind, {.rows = 5, .width = 640, .values = values}));
  const std::vector<std::byte>& after = spoiled.input.tensor("q")->bytes;
  const std::vector<std::byte>& before = whole.input.tensor("q")->bytes;
  CHECK(std::equal(after.begin(), after.begin() + 640, before.begin()));
  CHECK(std::equal(after.begin() + 4 * 640, after.end(), before.begin() + 4 * 640));
}

TEST_CASE("whole rows and tensors are right for large and tiny values") {
  const std::string kind = GENERATE("per_token_fp8", "per_token_int8", "per_tensor_fp8");
  const double scale = GENERATE(1e-38, 1e-12, 1e-8, 1e30, 1e37);
  require_good(
      make_case(kind, {.rows = 2, .width = 256, .x = DType::f32, .values = samples(512, 29, scale)}));
}

TEST_CASE("a static scale saturates what it does not reach") {
  const Outcome outcome = require_good(
      make_case("static", {.rows = 1, .width = 4, .values = {1.0, -1.0, 500.0, -500.0}, .scale = 1.0}));
  CHECK(value_at(outcome, "q", 0) == 1.0);
  CHECK(value_at(outcome, "q", 2) == 448.0);
  CHECK(value_at(outcome, "q", 3) == -448.0);
}

TEST_CASE("the largest value of a tensor is found wherever it lies") {
  const std::size_t where = GENERATE(0U, 1U, 4097U, 99999U, 149999U);
  std::vector<double> values = samples(150 * 1000, 5);
  values[where] = -100.0;
  const Outcome outcome =
      require_good(make_case("per_tensor_fp8", {.rows = 150, .width = 1000, .values = values}));
  CHECK(value_at(outcome, "s", 0) == Approx(100.0 / 448.0));
}

TEST_CASE("int8 rows round to nearest even") {
  std::vector<double> values(128, 0.0);
  values[0] = 127.0;  // a scale of 1
  for (std::size_t i = 1; i < 128; ++i) {
    values[i] = static_cast<double>(i) - 63.5;
  }
  const Outcome outcome =
      require_good(make_case("per_token_int8", {.rows = 1, .width = 128, .values = values}));
  for (std::size_t i = 1; i < 128; ++i) {
    CHECK(value_at(outcome, "q", i) == std::nearbyint(values[i]));
  }
}

TEST_CASE("a tensor's blocks take tiles in turn") {
  OpDefinition narrow = definition_of<quant::PerTensorFp8>();
  narrow.name = "test.per_tensor_fp8_on_a_narrow_grid";
  narrow.later_stages[0].geometry = [](const Specialisation& spec, const Tunables& tunables,
                                       const DeviceTraits& device, std::int64_t rows) noexcept {
    LaunchGeometry made =
        definition_of<quant::PerTensorFp8>().later_stages[0].geometry(spec, tunables, device, rows);
    made.grid[0] = 3;
    return made;
  };
  const OpDefinition& op = OpRegistry::instance().add(narrow);
  OpCase test = make_case("per_tensor_fp8", {.rows = 1000, .width = 120});
  test.launch = [&](Runtime& on, const Views& views) {
    on.dispatch(
        op,
        bind(quant::PerTensorFp8{
            .x = views.at("x"), .q = views.at("q"), .s = views.at("s"), .workspace = views.at("workspace")}),
        nullptr);
  };
  require_good(test);
}

TEST_CASE("the references of whole rows and tensors reject wrong elements") {
  const std::string kind = GENERATE(from_range(kinds));
  const OpCase test = make_case(kind, {});
  const Outcome outcome = require_good(test);
  for (const std::size_t element : {std::size_t{0}, std::size_t{1500}, std::size_t{3071}}) {
    CHECK_FALSE(verdict_after_flip(test.op, outcome, "q", element, 1).ok);
  }
  if (kind != "static") {
    CHECK_FALSE(verdict_after_flip(test.op, outcome, "s", 0, 2).ok);
  }
}

TEST_CASE("rows and tensors are quantised right at the edges of the types") {
  const std::string kind = GENERATE(from_range(kinds));
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  require_good(make_case(kind, {.rows = 16, .width = 64, .x = x, .values = edge_samples(x, 16 * 64, 83)}));
}

TEST_CASE("a static scale of any value follows the formula") {
  const double scale = GENERATE(1e-45, 1e-40, 1.2e-38, 1e-20, 1e20, 3.4e38, 0.0, -0.0, -0.03, -1e-40,
                                infinity, -infinity, std::numeric_limits<double>::quiet_NaN());
  std::vector<double> values = edge_samples(DType::f32, 16 * 64, 89);
  values[5] = infinity;
  values[6] = -infinity;
  values[7] = std::numeric_limits<double>::quiet_NaN();
  values[8] = 0.0;
  values[9] = -0.0;
  const Outcome outcome = require_good(
      make_case("static", {.rows = 16, .width = 64, .x = DType::f32, .values = values, .scale = scale}));
  if (!std::isnan(scale)) {
    CHECK(value_at(outcome, "q", 8) == 0.0);
    CHECK(value_at(outcome, "q", 9) == 0.0);
  }
}

TEST_CASE("per_tensor_fp8 of no rows writes the scale of zeros") {
  const Outcome outcome = require_good(make_case("per_tensor_fp8", {.rows = 0}));
  CHECK(value_at(outcome, "s", 0) == Approx(1e-10 / 448).epsilon(1e-6));
}
