#include <kerncast/ops/norm/rms_norm.hpp>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

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
  const std::int64_t width = GENERATE(512, 576, 1536, 2048, 2880, 3072, 4096, 5120, 7168, 8192);
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
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  const bool twice = GENERATE(true, false);
  OpCase test = make_case({4, 1536}, x, DType::bf16, y);
  test.params = {{"hf_rounding", twice ? "true" : "false"}};
  const Outcome outcome = require_good(test);

  // How many elements are exactly what each formula gives.
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
  // A type of x with more digits than y's hides its own rounding.
  if (size_of(x) <= size_of(y)) {
    CHECK((twice ? once_equal : twice_equal) < 4 * 1536 * 98 / 100);
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
  const std::int64_t width = GENERATE(1, 2, 3, 7, 31, 33, 127, 255, 1001, 2881);
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
  const double scale = GENERATE(1e-30, 1e-19, 1e-6, 1e15, 1e18, 1e25);
  OpCase test = make_case({2, 512}, DType::f32, DType::f32, DType::f32);
  test.tensors[0].bytes = to_bytes(DType::f32, samples(1024, 3, scale));
  require_good(test);
}

TEST_CASE("rms_norm gives the same bits on every run") {
  const std::int64_t rows = GENERATE(3, 150);
  const OpCase test = make_case({rows, 7168}, DType::bf16, DType::bf16, DType::f32);
  const Outcome first = require_good(test);
  const Outcome second = require_good(test);
  CHECK(first.input.tensor("y")->bytes == second.input.tensor("y")->bytes);
}

TEST_CASE("rms_norm through the typed API and a prepared launch") {
  OpCase test = make_case({7, 2048});
  test.launch = [](Runtime& on, const Views& views) {
    launch(on, norm::RmsNorm{.x = views.at("x"), .weight = views.at("weight"), .y = views.at("y")}, nullptr);
  };
  require_good(test);
  test.launch = [](Runtime& on, const Views& views) {
    prepare(on, norm::RmsNorm{.x = views.at("x"), .weight = views.at("weight"), .y = views.at("y")})
        .launch(nullptr);
  };
  require_good(test);
}

TEST_CASE("rms_norm where rows lie more than 2^31 elements apart") {
  const bool far_in = GENERATE(true, false);
  constexpr std::int64_t width = 256;
  const SparseRows x(DType::bf16, 3, width, far_in ? huge_stride : width,
                     to_bytes(DType::bf16, samples(3 * width, 5)));
  const SparseRows y(DType::bf16, 3, width, far_in ? width : huge_stride);
  const norm::RmsNorm call{.x = x.view(), .weight = {}, .y = y.view()};
  launch(runtime(), call, nullptr);
  synchronize();
  ReferenceInput input;
  input.spec = bind(call).spec;
  input.tensors = {x.download("x"), y.download("y")};
  const ReferenceResult verdict = find_reference("norm.rms_norm")(input);
  INFO(verdict.detail);
  CHECK(verdict.ok);
}

TEST_CASE("rms_norm in more than 65,535 blocks") {
  // 32 rows to a block.
  constexpr std::int64_t rows = 65600 * 32 + 5;
  const Outcome outcome = require_good(make_case({rows, 1}));
  const OpDefinition& op = definition_of<norm::RmsNorm>();
  CHECK(op.geometry(outcome.input.spec, op.default_tunables(outcome.input.spec, {}, rows), {}, rows).grid[0] >
        65535);
}

TEST_CASE("rms_norm where the grid spills into y") {
  OpDefinition narrow = definition_of<norm::RmsNorm>();
  narrow.name = "test.rms_norm_on_a_narrow_grid";
  narrow.geometry = [](const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device,
                       std::int64_t rows) noexcept {
    LaunchGeometry geometry = definition_of<norm::RmsNorm>().geometry(spec, tunables, device, rows);
    geometry.grid[1] = geometry.grid[0] / 3 + 1;
    geometry.grid[0] = 3;
    return geometry;
  };
  const OpDefinition& op = OpRegistry::instance().add(narrow);
  OpCase test = make_case({100, 512});
  test.launch = [&](Runtime& on, const Views& views) {
    on.dispatch(op, bind(norm::RmsNorm{.x = views.at("x"), .weight = views.at("weight"), .y = views.at("y")}),
                nullptr);
  };
  require_good(test);
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
