#include <kerncast/ops/norm/relative_l1.hpp>

#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "templates/norm/relative_l1/kernel_args.h"
#include "templates/norm/relative_l1/spec_index.hpp"
#include "templates/reference/host_float.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

OpCase make_case(std::int64_t rows, std::int64_t width, DType type = DType::bf16, double apart = 0.1) {
  const auto count = static_cast<std::size_t>(rows * width);
  const std::vector<double> a = samples(count, 1, 1.5, 0.2);
  std::vector<double> b = samples(count, 2, apart);
  for (std::size_t i = 0; i < count; ++i) {
    b[i] += a[i];
  }
  OpCase made;
  made.op = "norm.relative_l1";
  made.tensors = {
      {.name = "a", .dtype = type, .shape = {rows, width}, .bytes = to_bytes(type, a)},
      {.name = "b", .dtype = type, .shape = {rows, width}, .bytes = to_bytes(type, b)},
      {.name = "d", .dtype = DType::f32, .shape = {1}},
      {.name = "workspace", .dtype = DType::f64, .shape = {norm::relative_l1_workspace}},
  };
  return made;
}

/// The sum of 512 places in the order of OPS.md.
double sum_of_places(std::array<double, norm::relative_l1_chunk> places) {
  for (std::size_t warp = 0; warp < places.size(); warp += 32) {
    for (std::size_t d = 16; d > 0; d /= 2) {
      for (std::size_t lane = 0; lane < d; ++lane) {
        places[warp + lane] += places[warp + lane + d];
      }
    }
  }
  for (std::size_t d = places.size() / 2; d >= 32; d /= 2) {
    for (std::size_t warp = 0; warp < d; warp += 32) {
      places[warp] += places[warp + d];
    }
  }
  return places[0];
}

/// The workspace that relative_l1 leaves for contiguous f32 tensors of vectors of four.
std::vector<double> documented_partials(const std::vector<float>& a, const std::vector<float>& b) {
  constexpr std::size_t chunk = norm::relative_l1_chunk;
  constexpr std::size_t most = norm::relative_l1_partials;
  const std::size_t vectors = a.size() / 4;
  const std::size_t chunks = (vectors + chunk - 1) / chunk;
  std::vector<std::array<std::array<double, chunk>, 2>> places(std::min(chunks, most));
  for (std::size_t v = 0; v < vectors; ++v) {
    std::array<float, 4> distances{};
    std::array<float, 4> magnitudes{};
    for (std::size_t j = 0; j < 4; ++j) {
      distances[j] = std::fabs(a[4 * v + j] - b[4 * v + j]);
      magnitudes[j] = std::fabs(a[4 * v + j]);
    }
    const auto tree = [](const std::array<float, 4>& x) { return (x[0] + x[1]) + (x[2] + x[3]); };
    auto& partial = places[v / chunk % most];
    partial[0][v % chunk] += static_cast<double>(tree(distances));
    partial[1][v % chunk] += static_cast<double>(tree(magnitudes));
  }
  std::vector<double> out;
  for (const auto& partial : places) {
    out.push_back(sum_of_places(partial[0]));
    out.push_back(sum_of_places(partial[1]));
  }
  return out;
}

double distance(const Outcome& outcome) {
  return reference::decode(DType::f32, outcome.input.tensor("d")->bytes.data());
}

}  // namespace

TEST_CASE("relative_l1 is right at the widths of the models") {
  const std::int64_t width = GENERATE(3072, 5120);
  const std::int64_t rows = GENERATE(1, 17, 300);
  require_good(make_case(rows, width));
}

TEST_CASE("relative_l1 is right at odd widths, none to few rows and every type") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const std::int64_t width = GENERATE(1, 2, 3, 7, 33, 104, 1001);
  const std::int64_t rows = GENERATE(0, 1, 2, 5);
  OpCase test = make_case(rows, width, type);
  const Outcome outcome = require_good(test);
  if (rows == 0) {
    CHECK(outcome.input.tensor("d")->bytes == std::vector<std::byte>(4, std::byte{0}));
  }
}

TEST_CASE("relative_l1 takes several turns where there are more elements than blocks take at once") {
  // 512 vectors x 8 elements x 1024 blocks are 4 Mi.
  require_good(make_case(1, 4 * 1024 * 1024 + 4096 * 3 + 8));
  require_good(make_case(900, 4672));
}

TEST_CASE("relative_l1 adds up in the order of OPS.md under all tunables") {
  // The last leaves some partial sums with two chunks.
  const std::int64_t elements = GENERATE(4, 3072, 100'000, 4 * 512 * 1024 + 5000);
  OpCase test = make_case(1, elements, DType::f32);
  std::vector<float> a(static_cast<std::size_t>(elements));
  std::vector<float> b(a.size());
  std::memcpy(a.data(), test.tensors[0].bytes.data(), 4 * a.size());
  std::memcpy(b.data(), test.tensors[1].bytes.data(), 4 * b.size());
  const std::vector<double> expected = documented_partials(a, b);
  const OpDefinition& op = definition_of<norm::RelativeL1>();
  for (const std::int32_t threads : tunable_values(op.tunables[norm::relative_l1_params::threads])) {
    for (const std::int32_t vectors : tunable_values(op.tunables[norm::relative_l1_params::vectors])) {
      INFO(elements << " elements, " << threads << " threads, " << vectors << " vectors");
      test.launch = [&](Runtime& runtime, const Views& views) {
        const Call call = norm::bind(
            {.a = views.at("a"), .b = views.at("b"), .d = views.at("d"), .workspace = views.at("workspace")});
        Tunables tunables;
        tunables.values[norm::relative_l1_params::threads] = threads;
        tunables.values[norm::relative_l1_params::vectors] = vectors;
        runtime.prepare(op, call, tunables).launch(nullptr);
      };
      const Outcome outcome = require_good(test);
      std::vector<double> got(expected.size());
      std::memcpy(got.data(), outcome.input.tensor("workspace")->bytes.data(), 8 * got.size());
      CHECK(got == expected);
    }
  }
}

TEST_CASE("relative_l1 is right over leading dimensions") {
  OpCase test = make_case(12, 128);
  test.tensors[0].shape = test.tensors[1].shape = {2, 6, 128};
  require_good(test);
  test.tensors[1].strides = {6 * 160, 160, 1};
  require_good(test);
}

TEST_CASE("relative_l1 of equal tensors is 0, of zeros too") {
  OpCase test = make_case(3, 512);
  test.tensors[1].bytes = test.tensors[0].bytes;
  CHECK(distance(require_good(test)) == 0.0);
  test.tensors[0].bytes = test.tensors[1].bytes = to_bytes(DType::bf16, std::vector<double>(3 * 512, 0.0));
  CHECK(distance(require_good(test)) == 0.0);
  test.tensors[1].bytes = make_case(3, 512).tensors[1].bytes;
  CHECK(std::isinf(distance(require_good(test))));
}

TEST_CASE("relative_l1 of a tensor and its negative is 2") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  OpCase test = make_case(5, 320, type);
  std::vector<double> values = samples(5 * 320, 4);
  test.tensors[0].bytes = to_bytes(type, values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] =
        -reference::decode(type, test.tensors[0].bytes.data() + i * static_cast<std::size_t>(size_of(type)));
  }
  test.tensors[1].bytes = to_bytes(type, values);
  CHECK(distance(require_good(test)) == 2.0);
}

TEST_CASE("relative_l1 of NaN is NaN, and infinity follows the formula") {
  const double value =
      GENERATE(std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
  const std::size_t which = GENERATE(0U, 1U);
  OpCase test = make_case(2, 512);
  std::vector<double> values = samples(1024, 6);
  values[700] = value;
  test.tensors[which].bytes = to_bytes(DType::bf16, values);
  require_good(test);
}

TEST_CASE("relative_l1 is right for large and tiny values") {
  const double scale = GENERATE(1e-37, 1e-20, 1e-6, 1e20, 1e36);
  const DType type = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case(2, 512, type);
  test.tensors[0].bytes = to_bytes(type, samples(1024, 7, scale));
  test.tensors[1].bytes = to_bytes(type, samples(1024, 8, scale));
  require_good(test);
}

TEST_CASE("relative_l1 of values near the largest is finite") {
  const DType type = GENERATE(DType::bf16, DType::f32);
  const std::int64_t width = GENERATE(512, 516, 513);
  const std::int64_t rows = GENERATE(1, 40);
  OpCase test = make_case(rows, width, type);
  std::vector<double> a = samples(static_cast<std::size_t>(rows * width), 9, 0.1, 3.2e38);
  std::vector<double> b = a;
  for (std::size_t i = 0; i < a.size(); ++i) {
    // Some vectors are of usual magnitude, and some differences overflow f32 by themselves.
    const bool usual = i / 16 % 3 == 0;
    a[i] = usual ? a[i] * 1e-38 : a[i];
    b[i] = i % 5 == 0 ? -a[i] : usual ? 1.0 : 2.9e38;
  }
  test.tensors[0].bytes = to_bytes(type, a);
  test.tensors[1].bytes = to_bytes(type, b);
  const double packed = distance(require_good(test));
  CHECK(std::isfinite(packed));
  test.tensors[0].strides = {width + 8, 1};
  CHECK(distance(require_good(test)) == packed);
}
