#include <kerncast/ops/norm/relative_l1.hpp>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

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

double distance(const Outcome& outcome) {
  return reference::decode(DType::f32, outcome.input.tensor("d")->bytes.data());
}

}  // namespace

TEST_CASE("relative_l1 at the widths of the models") {
  const std::int64_t width = GENERATE(3072, 5120);
  const std::int64_t rows = GENERATE(1, 17, 300);
  require_good(make_case(rows, width));
}

TEST_CASE("relative_l1 at odd widths, none to few rows and every type") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const std::int64_t width = GENERATE(1, 2, 3, 7, 33, 104, 1001);
  const std::int64_t rows = GENERATE(0, 1, 2, 5);
  OpCase test = make_case(rows, width, type);
  const Outcome outcome = require_good(test);
  if (rows == 0) {
    CHECK(outcome.input.tensor("d")->bytes == std::vector<std::byte>(4, std::byte{0xcd}));
  }
}

TEST_CASE("relative_l1 takes several turns where there are more elements than blocks take at once") {
  // Threads x vectors x 8 elements x 1024 blocks are 4 Mi.
  require_good(make_case(1, 4 * 1024 * 1024 + 4096 * 3 + 8));
  require_good(make_case(900, 4672));
}

TEST_CASE("relative_l1 over strided rows and unaligned views") {
  const DType type = GENERATE(DType::bf16, DType::f32);
  const std::size_t which = GENERATE(0U, 1U);
  const std::int64_t extra = GENERATE(8, 4, 1);
  OpCase test = make_case(9, 640, type);
  test.tensors[which].strides = {640 + extra, 1};
  require_good(test);
  test.tensors[which].offset = extra;
  require_good(test);
  test.tensors[which].strides = {};
  require_good(test);
}

TEST_CASE("relative_l1 over leading dimensions") {
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

TEST_CASE("relative_l1 of large and of tiny values") {
  const double scale = GENERATE(1e-37, 1e-20, 1e-6, 1e20, 1e36);
  const DType type = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case(2, 512, type);
  test.tensors[0].bytes = to_bytes(type, samples(1024, 7, scale));
  test.tensors[1].bytes = to_bytes(type, samples(1024, 8, scale));
  require_good(test);
}

TEST_CASE("relative_l1 gives the same bits on every run") {
  const OpCase test = make_case(700, 1536, DType::f32);
  const double first = distance(require_good(test));
  for (int i = 0; i < 3; ++i) {
    CHECK(distance(require_good(test)) == first);
  }
}

TEST_CASE("relative_l1 through the typed API and a prepared launch") {
  OpCase test = make_case(7, 2048);
  const auto arguments = [](const Views& views) {
    return norm::RelativeL1{
        .a = views.at("a"), .b = views.at("b"), .d = views.at("d"), .workspace = views.at("workspace")};
  };
  test.launch = [&](Runtime& on, const Views& views) { launch(on, arguments(views), nullptr); };
  require_good(test);
  test.launch = [&](Runtime& on, const Views& views) { prepare(on, arguments(views)).launch(nullptr); };
  require_good(test);
}

TEST_CASE("relative_l1 where rows lie more than 2^31 elements apart") {
  const bool far_a = GENERATE(true, false);
  constexpr std::int64_t width = 256;
  const SparseRows a(DType::bf16, 3, width, far_a ? huge_stride : width,
                     to_bytes(DType::bf16, samples(3 * width, 5)));
  const SparseRows b(DType::bf16, 3, width, far_a ? width : huge_stride,
                     to_bytes(DType::bf16, samples(3 * width, 6)));
  const SparseRows d(DType::f32, 1, 1, 1);
  const SparseRows workspace(DType::f64, 1, norm::relative_l1_workspace, norm::relative_l1_workspace);
  const norm::RelativeL1 call{.a = a.view(), .b = b.view(), .d = d.view(), .workspace = workspace.view()};
  launch(runtime(), call, nullptr);
  synchronize();
  ReferenceInput input;
  input.spec = bind(call).spec;
  input.tensors = {a.download("a"), b.download("b"), d.download("d")};
  const ReferenceResult verdict = find_reference("norm.relative_l1")(input);
  INFO(verdict.detail);
  CHECK(verdict.ok);
}

TEST_CASE("the reference of relative_l1 rejects a wrong value") {
  const OpCase test = make_case(3, 96);
  const Outcome outcome = require_good(test);
  CHECK_FALSE(verdict_after_flip(test.op, outcome, "d", 0, 3).ok);
  CHECK_FALSE(verdict_after_flip(test.op, outcome, "d", 3, 7).ok);
}
