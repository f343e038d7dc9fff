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

norm::FusedAddRmsNorm arguments(const Views& views) {
  return {
      .x = views.at("x"), .residual = views.at("residual"), .weight = views.at("weight"), .y = views.at("y")};
}

}  // namespace

TEST_CASE("fused_add_rms_norm at the widths of the models") {
  const std::int64_t width = GENERATE(2048, 2880, 4096, 5120, 7168, 8192);
  const std::int64_t rows = GENERATE(1, 17, 140);
  require_good(make_case({rows == 140 && width > 5120 ? 17 : rows, width}));
}

TEST_CASE("fused_add_rms_norm in every combination of types") {
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

TEST_CASE("fused_add_rms_norm where x and the residual cancel") {
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

TEST_CASE("fused_add_rms_norm with Hugging Face's rounding, without a weight, and with an offset to it") {
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

TEST_CASE("fused_add_rms_norm at odd widths and none to few rows") {
  const std::int64_t width = GENERATE(1, 3, 31, 33, 1001, 2881);
  const std::int64_t rows = GENERATE(0, 1, 5);
  const DType type = GENERATE(DType::bf16, DType::f32);
  require_good(make_case({rows, width}, type, type, type, type));
}

TEST_CASE("fused_add_rms_norm beyond what registers hold") {
  require_good(make_case({1, 65536}));
  require_good(make_case({1, 65536}, DType::f32, DType::f32, DType::f32, DType::f32));
  OpCase in_place = make_case({2, 65536});
  tensor_of(in_place, "y").alias = "x";
  require_good(in_place);
}

TEST_CASE("fused_add_rms_norm over strided rows and unaligned views") {
  OpCase test = make_case({3, 1536});
  const std::string which = GENERATE("x", "residual", "y");
  SECTION("strides") {
    stride_rows(test, which, GENERATE(1544, 1540, 1537));
  }
  SECTION("offsets") {
    const std::int64_t offset = GENERATE(1, 2, 4);
    for (TensorCase& tensor : test.tensors) {
      if (tensor.name == which || tensor.alias == which) {
        tensor.offset = offset;
      }
    }
  }
  require_good(test);
}

TEST_CASE("fused_add_rms_norm in place, over leading dimensions") {
  OpCase test = make_case({6, 128});
  tensor_of(test, "y").alias = "x";
  for (TensorCase& tensor : test.tensors) {
    if (tensor.name != "weight") {
      tensor.shape = {2, 3, 128};
    }
  }
  require_good(test);
}

TEST_CASE("fused_add_rms_norm of zeros, infinity and NaN keeps to their rows") {
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

TEST_CASE("fused_add_rms_norm of large and of tiny values") {
  const double scale = GENERATE(1e-30, 1e-19, 1e15, 1e18, 1e25);
  OpCase test = make_case({2, 512}, DType::f32, DType::f32, DType::f32, DType::f32);
  tensor_of(test, "x").bytes = to_bytes(DType::f32, samples(1024, 3, scale));
  tensor_of(test, "residual").bytes = to_bytes(DType::f32, samples(1024, 4, scale));
  require_good(test);
}

TEST_CASE("fused_add_rms_norm gives the same bits on every run") {
  const OpCase test = make_case({150, 1536}, DType::bf16, DType::f32, DType::f32);
  const Outcome first = require_good(test);
  const Outcome second = require_good(test);
  CHECK(bytes_of(first, "y") == bytes_of(second, "y"));
  CHECK(bytes_of(first, "residual_out") == bytes_of(second, "residual_out"));
}

TEST_CASE("fused_add_rms_norm is rms_norm of the sum where the sum is exact") {
  // Multiples of 1/8 below 16: their sums are bf16 too.
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

TEST_CASE("fused_add_rms_norm through the typed API and a prepared launch") {
  OpCase test = make_case({7, 2048});
  SECTION("call") {
    test.launch = [](Runtime& on, const Views& views) { launch(on, arguments(views), nullptr); };
  }
  SECTION("prepared") {
    test.launch = [](Runtime& on, const Views& views) { prepare(on, arguments(views)).launch(nullptr); };
  }
  require_good(test);
}

TEST_CASE("fused_add_rms_norm where rows lie more than 2^31 elements apart") {
  const int far = GENERATE(0, 1, 2);
  constexpr std::int64_t width = 256;
  const auto stride = [&](int which) { return far == which ? huge_stride : width; };
  const SparseRows x(DType::bf16, 3, width, stride(0), to_bytes(DType::bf16, samples(3 * width, 5)));
  const SparseRows residual(DType::bf16, 3, width, stride(1), to_bytes(DType::bf16, samples(3 * width, 6)));
  const SparseRows y(DType::bf16, 3, width, stride(2));
  const norm::FusedAddRmsNorm call{.x = x.view(), .residual = residual.view(), .weight = {}, .y = y.view()};
  ReferenceInput input;
  input.spec = bind(call).spec;
  input.tensors = {x.download("x"), residual.download("residual")};
  launch(runtime(), call, nullptr);
  synchronize();
  input.tensors.push_back(residual.download("residual_out"));
  input.tensors.push_back(y.download("y"));
  const ReferenceResult verdict = find_reference("norm.fused_add_rms_norm")(input);
  INFO(verdict.detail);
  CHECK(verdict.ok);
}

TEST_CASE("fused_add_rms_norm in more than 65,535 blocks") {
  // 32 rows to a block.
  require_good(make_case({65600 * 32 + 5, 1}));
}

TEST_CASE("the reference of fused_add_rms_norm rejects a wrong element") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const OpCase test = make_case({3, 96}, type, type, type);
  const Outcome outcome = require_good(test);
  const auto size = static_cast<std::size_t>(size_of(type));
  for (const char* name : {"y", "residual_out"}) {
    for (const std::size_t element : {std::size_t{0}, std::size_t{150}, std::size_t{287}}) {
      CHECK_FALSE(verdict_after_flip(test.op, outcome, name, element * size, 2).ok);
      CHECK_FALSE(verdict_after_flip(test.op, outcome, name, element * size + size - 1, 7).ok);
    }
  }
}
