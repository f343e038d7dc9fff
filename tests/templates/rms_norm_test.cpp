#include "templates/norm/rms_norm.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "runtime/dispatch/runtime_parts.hpp"
#include "runtime/driver/context.hpp"
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

OpCase make_case(Shape shape, DType x = DType::bf16, DType weight = DType::bf16, DType y = DType::bf16,
                 std::uint64_t seed = 1) {
  const auto count = static_cast<std::size_t>(shape.rows * shape.width);
  OpCase made;
  made.op = "norm.rms_norm";
  made.tensors = {
      {.name = "x",
       .dtype = x,
       .shape = {shape.rows, shape.width},
       .bytes = to_bytes(x, samples(count, seed, 1.7))},
      {.name = "weight",
       .dtype = weight,
       .shape = {shape.width},
       .bytes = to_bytes(weight, samples(static_cast<std::size_t>(shape.width), seed + 1, 0.3, 1.0))},
      {.name = "y", .dtype = y, .shape = {shape.rows, shape.width}},
  };
  made.scalars = {{"eps", 1e-6}};
  return made;
}

double value_at(const Outcome& outcome, const char* name, std::size_t element) {
  const HostTensor& tensor = *outcome.input.tensor(name);
  return reference::decode(tensor.dtype,
                           tensor.bytes.data() + element * static_cast<std::size_t>(size_of(tensor.dtype)));
}

}  // namespace

TEST_CASE("rms_norm at the widths of the models") {
  const std::int64_t width = GENERATE(512, 1536, 2048, 2880, 3072, 4096, 5120, 7168, 8192);
  const std::int64_t rows = GENERATE(1, 300);
  if (rows == 300 && width > 4096) {
    require_good(make_case({150, width}));
  } else {
    require_good(make_case({rows, width}));
  }
}

TEST_CASE("rms_norm in every combination of types") {
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType weight = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  require_good(make_case({3, 576}, x, weight, y));
}

TEST_CASE("rms_norm rounds twice only when asked") {
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case({4, 1536}, x, DType::bf16, y);
  test.params = {{"hf_rounding", "true"}};
  const Outcome rounded = require_good(test);
  if (x != DType::f32) {
    // The reference tells the two apart.
    ReferenceInput as_if_once = rounded.input;
    as_if_once.spec.values[6] = 0;
    CHECK_FALSE(find_reference("norm.rms_norm")(as_if_once).ok);
  }
}

TEST_CASE("rms_norm without a weight, and with an offset to it") {
  const DType y = GENERATE(DType::bf16, DType::f32);
  OpCase bare = make_case({5, 320}, DType::bf16, DType::bf16, y);
  bare.tensors.erase(bare.tensors.begin() + 1);
  require_good(bare);
  OpCase gemma = make_case({5, 320}, DType::bf16, DType::bf16, y);
  gemma.scalars.emplace_back("weight_offset", 1.0);
  require_good(gemma);
}

TEST_CASE("rms_norm at odd widths and none to few rows") {
  const std::int64_t width = GENERATE(1, 2, 3, 7, 31, 33, 255, 1001, 2881);
  const std::int64_t rows = GENERATE(0, 1, 2, 5);
  const DType type = GENERATE(DType::bf16, DType::f32);
  require_good(make_case({rows, width}, type, type, type));
}

TEST_CASE("rms_norm beyond what registers hold") {
  require_good(make_case({2, 65536}));
  require_good(make_case({1, 65536}, DType::f32, DType::f32, DType::f32));
  require_good(make_case({1, 65535}));
}

TEST_CASE("rms_norm over strided rows") {
  const std::int64_t stride = GENERATE(2112, 1544, 1540, 1537);
  OpCase test = make_case({4, 1536});
  test.tensors[0].strides = {stride, 1};
  test.tensors[2].strides = {stride + 3, 1};
  require_good(test);
}

TEST_CASE("rms_norm of unaligned views") {
  const std::int64_t offset = GENERATE(1, 2, 4);
  const std::size_t which = GENERATE(0U, 1U, 2U);
  OpCase test = make_case({3, 2048});
  test.tensors[which].offset = offset;
  require_good(test);
}

TEST_CASE("rms_norm over leading dimensions") {
  OpCase test = make_case({6, 128});
  test.tensors[0].shape = {2, 3, 128};
  test.tensors[2].shape = {2, 3, 128};
  require_good(test);
  // A slice of a packed tensor: two levels of stride that still flatten.
  test.tensors[0].strides = {3 * 160, 160, 1};
  require_good(test);
}

TEST_CASE("rms_norm in place") {
  const std::int64_t width = GENERATE(7168, 65536, 77);
  OpCase test = make_case({2, width});
  test.tensors[2].alias = "x";
  require_good(test);
}

TEST_CASE("rms_norm of zeros, infinity and NaN, each in a row of its own") {
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

TEST_CASE("rms_norm of large and of tiny values") {
  const double scale = GENERATE(1e-30, 1e-6, 1e15, 1e25);
  OpCase test = make_case({2, 512}, DType::f32, DType::f32, DType::f32);
  test.tensors[0].bytes = to_bytes(DType::f32, samples(1024, 3, scale));
  require_good(test);
}

TEST_CASE("rms_norm gives the same bits on every run") {
  const OpCase test = make_case({3, 7168}, DType::bf16, DType::bf16, DType::f32);
  const Outcome first = require_good(test);
  const Outcome second = require_good(test);
  CHECK(first.input.tensor("y")->bytes == second.input.tensor("y")->bytes);
}

TEST_CASE("rms_norm through the typed API and a prepared launch") {
  OpCase test = make_case({7, 2048});
  test.launch = [](Runtime& on, const Views& views) {
    norm::rms_norm(on, {.x = views.at("x"), .weight = views.at("weight"), .y = views.at("y")}, nullptr);
  };
  require_good(test);
  test.launch = [](Runtime& on, const Views& views) {
    norm::prepare_rms_norm(on, {.x = views.at("x"), .weight = views.at("weight"), .y = views.at("y")})
        .launch(nullptr);
  };
  require_good(test);
}

TEST_CASE("rms_norm where rows lie more than 2^31 elements apart") {
  constexpr std::int64_t stride = (std::int64_t{1} << 31) + 40;
  constexpr std::int64_t width = 256;
  const driver::DriverApi& api = runtime().parts().driver().api;
  const driver::DeviceBuffer x(api, static_cast<std::size_t>(stride + width) * 2);
  const driver::DeviceBuffer y(api, static_cast<std::size_t>(2 * width) * 2);
  const std::vector<std::byte> values = to_bytes(DType::bf16, samples(2 * width, 5));
  x.upload(values.data(), width * 2);
  x.upload(values.data() + width * 2, width * 2, static_cast<std::size_t>(stride) * 2);
  TensorView x_view = TensorView::contiguous(x.data(), DType::bf16, {2, width});
  x_view.strides[0] = stride;
  norm::rms_norm(runtime(), {.x = x_view, .weight = {}, .y = TensorView::contiguous(y.data(), DType::bf16, {2, width})},
                 nullptr);
  ReferenceInput input;
  input.spec =
      norm::rms_norm_call({.x = x_view, .weight = {}, .y = TensorView::contiguous(y.data(), DType::bf16, {2, width})}).spec;
  input.tensors = {{"x", DType::bf16, {2, width}, {width, 1}, values},
                   {"y", DType::bf16, {2, width}, {width, 1}, std::vector<std::byte>(2 * width * 2)}};
  y.download(input.tensors[1].bytes.data(), input.tensors[1].bytes.size());
  const ReferenceResult verdict = find_reference("norm.rms_norm")(input);
  INFO(verdict.detail);
  CHECK(verdict.ok);
}

TEST_CASE("the reference of rms_norm rejects a wrong element") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  OpCase test = make_case({3, 96}, type, type, type);
  const Outcome outcome = require_good(test);
  const auto size = static_cast<std::size_t>(size_of(type));
  for (const std::size_t element : {std::size_t{0}, std::size_t{150}, std::size_t{287}}) {
    // Four units in the last place: too far even from a result that was itself off by one.
    CHECK_FALSE(verdict_after_flip(test.op, outcome, "y", element * size, 2).ok);
    CHECK_FALSE(verdict_after_flip(test.op, outcome, "y", element * size + size - 1, 7).ok);
  }
}
