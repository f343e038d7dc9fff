#include <kerncast/ops/quant/silu_and_mul_per_token_group.hpp>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "templates/reference/host_float.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

struct Setting {
  std::int64_t rows = 3;
  std::int64_t width = 1024;  ///< elements of a row of q
  std::int64_t group = 128;
  DType x = DType::bf16;
  DType q = DType::fp8_e4m3;
  std::string layout = "row_major";
  std::string format = "f32";
  std::vector<double> values = {};
  std::vector<double> counted = {};  ///< valid rows of each expert; empty: no mask
};

OpCase make_case(const Setting& setting) {
  const auto experts = static_cast<std::int64_t>(setting.counted.size());
  const std::int64_t all = setting.rows * std::max<std::int64_t>(experts, 1);
  const auto count = static_cast<std::size_t>(all * setting.width * 2);
  std::vector<double> values = setting.values;
  if (values.empty()) {
    values = samples(count, 17);
    for (std::size_t i = 0; i < count; ++i) {
      values[i] *= std::exp2(static_cast<double>(i / static_cast<std::size_t>(setting.group) * 7 % 9) - 4.0);
    }
  }
  OpCase made;
  made.op = "quant.silu_and_mul_per_token_group";
  made.params = {{"group", std::to_string(setting.group)},
                 {"scale_layout", setting.layout},
                 {"scale_format", setting.format}};
  const bool packed = setting.format == "packed_ue8m0";
  const std::int64_t groups = setting.width / setting.group;
  const std::int64_t columns = packed ? (groups + 3) / 4 : groups;
  TensorCase x{.name = "x",
               .dtype = setting.x,
               .shape = {setting.rows, 2 * setting.width},
               .bytes = to_bytes(setting.x, values)};
  TensorCase q{.name = "q", .dtype = setting.q, .shape = {setting.rows, setting.width}};
  TensorCase s{.name = "s", .dtype = packed ? DType::i32 : DType::f32, .shape = {setting.rows, columns}};
  if (setting.layout != "row_major") {
    const std::int64_t stride = setting.layout == "column_major" ? setting.rows : (setting.rows + 3) / 4 * 4;
    s.strides = {1, stride};
    s.storage = columns * stride;
    s.owns_padding = packed;
  }
  if (experts > 0) {
    x.shape.insert(x.shape.begin(), experts);
    q.shape.insert(q.shape.begin(), experts);
    s.shape.insert(s.shape.begin(), experts);
    if (s.strides.empty()) {
      s.strides = {setting.rows * columns, columns, 1};
    } else {
      s.strides.insert(s.strides.begin(), s.storage);
      s.storage *= experts;
    }
    s.owns_padding = false;
  }
  made.tensors = {x, q, s};
  if (experts > 0) {
    made.tensors.push_back({.name = "masked_m",
                            .dtype = DType::i32,
                            .shape = {experts},
                            .bytes = to_bytes(DType::i32, setting.counted)});
  }
  return made;
}

/// True if none of the `count` bytes from `first` on changed in the call.
bool untouched(const std::vector<std::byte>& bytes, std::int64_t first, std::int64_t count) {
  return std::all_of(bytes.begin() + first, bytes.begin() + first + count,
                     [](std::byte b) { return b == std::byte{0xcd}; });
}

}  // namespace

TEST_CASE("silu_and_mul_per_token_group is right in every layout and format, plain and masked") {
  const auto [layout, format] =
      GENERATE(table<std::string, std::string>({{"row_major", "f32"},
                                                {"row_major", "ue8m0"},
                                                {"column_major", "f32"},
                                                {"column_major", "ue8m0"},
                                                {"column_major_tma_aligned", "f32"},
                                                {"column_major_tma_aligned", "ue8m0"},
                                                {"column_major_tma_aligned", "packed_ue8m0"}}));
  const DType q = GENERATE(DType::fp8_e4m3, DType::fp8_e5m2, DType::i8);
  const std::int64_t rows = GENERATE(1, 4, 7);
  require_good(make_case({.rows = rows, .q = q, .layout = layout, .format = format}));
  require_good(make_case({.rows = rows,
                          .width = 640,
                          .q = q,
                          .layout = layout,
                          .format = format,
                          .counted = {1, 0, static_cast<double>(rows)}}));
}

TEST_CASE("silu_and_mul_per_token_group limits gates and ups, plain and masked") {
  const DType x = GENERATE(DType::bf16, DType::f32);
  const auto [layout, format] =
      GENERATE(table<std::string, std::string>({{"row_major", "f32"},
                                                {"column_major_tma_aligned", "ue8m0"},
                                                {"column_major_tma_aligned", "packed_ue8m0"}}));
  const DType q = GENERATE(DType::fp8_e4m3, DType::i8);
  const double limit = GENERATE(10.0, 0.3);
  for (const std::vector<double>& counted : {std::vector<double>{}, std::vector<double>{1, 0, 5}}) {
    OpCase test =
        make_case({.rows = 5, .x = x, .q = q, .layout = layout, .format = format, .counted = counted});
    test.params.emplace_back("limit", "true");
    test.scalars.emplace_back("limit", limit);
    require_good(test);
  }
}

TEST_CASE("silu_and_mul_per_token_group with a limit lets NaN through and limits infinity") {
  std::vector<double> values = samples(2 * 2 * 128, 29);
  values[3] = std::nan("");
  values[5] = std::numeric_limits<double>::infinity();
  values[128 + 5] = -std::numeric_limits<double>::infinity();
  OpCase test = make_case({.rows = 2, .width = 128, .values = values});
  test.params.emplace_back("limit", "true");
  test.scalars.emplace_back("limit", 8.0);
  const Outcome outcome = require_good(test);
  const HostTensor& q = *outcome.input.tensor("q");
  CHECK(std::isnan(reference::decode(q.dtype, q.bytes.data() + 3)));
  CHECK(reference::decode(q.dtype, q.bytes.data() + 5) == -448.0);
}

TEST_CASE("silu_and_mul_per_token_group is right in every group size and type of x") {
  const std::int64_t group = GENERATE(16, 32, 64, 128);
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType q = GENERATE(DType::fp8_e4m3, DType::i8);
  require_good(make_case({.width = 640, .group = group, .x = x, .q = q}));
}

TEST_CASE("silu_and_mul_per_token_group is right at the widths of the models") {
  const std::int64_t width = GENERATE(768, 1536, 2048, 12288, 14336, 18432, 28672);
  require_good(make_case({.rows = 1, .width = width}));
  require_good(
      make_case({.rows = 5, .width = width, .layout = "column_major_tma_aligned", .format = "packed_ue8m0"}));
}

TEST_CASE("silu_and_mul_per_token_group is right with many rows, and with none") {
  require_good(make_case({.rows = 300}));
  require_good(make_case({.rows = 0}));
  require_good(make_case({.rows = 0, .counted = {0, 0}}));
}

TEST_CASE("silu_and_mul_per_token_group is right over strided rows and unaligned views") {
  const std::int64_t pad = GENERATE(0, 8, 4, 1);
  const std::int64_t q_pad = GENERATE(0, 16, 2);
  OpCase test = make_case({});
  test.tensors[0].strides = {2048 + pad, 1};
  test.tensors[1].strides = {1024 + q_pad, 1};
  require_good(test);
  test.tensors[0].offset = 1;
  require_good(test);
  test.tensors[0].offset = 0;
  test.tensors[1].offset = 3;
  require_good(test);
}

TEST_CASE("silu_and_mul_per_token_group leaves what is masked alone") {
  const std::string layout = GENERATE("row_major", "column_major_tma_aligned");
  const std::vector<double> counted = {0, 5, 16, 1};
  const Outcome outcome =
      require_good(make_case({.rows = 16, .width = 256, .layout = layout, .counted = counted}));
  const std::vector<std::byte>& q = outcome.input.tensor("q")->bytes;
  const std::vector<std::byte>& s = outcome.input.tensor("s")->bytes;
  for (std::int64_t expert = 0; expert < 4; ++expert) {
    const auto rows = static_cast<std::int64_t>(counted[static_cast<std::size_t>(expert)]);
    CHECK(untouched(q, (expert * 16 + rows) * 256, (16 - rows) * 256));
    if (layout == "row_major") {
      CHECK(untouched(s, (expert * 16 + rows) * 8, (16 - rows) * 8));
    } else {
      CHECK(untouched(s, (expert * 32 + rows) * 4, (16 - rows) * 4));
      CHECK(untouched(s, (expert * 32 + 16 + rows) * 4, (16 - rows) * 4));
    }
  }
}

TEST_CASE("silu_and_mul_per_token_group is right under a mask past the rows there are") {
  require_good(make_case({.rows = 4, .counted = {-3, 400, 4}}));
}

TEST_CASE("silu_and_mul_per_token_group does not round between the two") {
  // Close to silu(1) * 1, neighbours of bf16 are 2^-8 apart, which would show in a scale of a rounded value.
  std::vector<double> values(512, 1.0);
  const Outcome outcome = require_good(make_case({.rows = 1, .width = 256, .values = values}));
  float scale = 0;
  std::memcpy(&scale, outcome.input.tensor("s")->bytes.data(), 4);
  CHECK(static_cast<double>(scale) * 448.0 == Approx(1.0 / (1.0 + std::exp(-1.0))).epsilon(1e-6));
}

TEST_CASE("silu_and_mul_per_token_group is right where negative gates alone set the scale") {
  std::vector<double> values = samples(2048, 41, 20.0);
  for (std::size_t i = 0; i < 1024; ++i) {
    values[i] = -std::fabs(values[i]);
  }
  const std::string format = GENERATE("f32", "ue8m0");
  require_good(make_case({.rows = 1, .x = DType::f32, .format = format, .values = values}));
}

TEST_CASE("silu_and_mul_per_token_group of zeros, infinity and NaN keep to their rows") {
  const DType q = GENERATE(DType::fp8_e4m3, DType::i8);
  std::vector<double> values = samples(5 * 256, 21);
  const Outcome whole = require_good(make_case({.rows = 5, .width = 128, .q = q, .values = values}));
  std::fill_n(values.begin() + 256, 256, 0.0);
  values[2 * 256 + 5] = std::nan("");
  values[3 * 256 + 9] = -std::numeric_limits<double>::infinity();
  const Outcome spoiled = require_good(make_case({.rows = 5, .width = 128, .q = q, .values = values}));
  const std::vector<std::byte>& after = spoiled.input.tensor("q")->bytes;
  const std::vector<std::byte>& before = whole.input.tensor("q")->bytes;
  CHECK(std::equal(after.begin(), after.begin() + 128, before.begin()));
  CHECK(std::equal(after.begin() + 4 * 128, after.end(), before.begin() + 4 * 128));
  CHECK(std::all_of(after.begin() + 128, after.begin() + 256, [](std::byte b) { return b == std::byte{0}; }));
  const std::byte nan = q == DType::i8 ? std::byte{0} : std::byte{0x7f};
  CHECK(after[2 * 128 + 5] == nan);
  CHECK(after[3 * 128 + 9] == nan);
}

TEST_CASE("silu_and_mul_per_token_group is right where rows lie more than 2^31 elements apart") {
  const bool far_in = GENERATE(true, false);
  constexpr std::int64_t width = 128;
  const SparseRows x(DType::bf16, 3, 2 * width, far_in ? huge_stride : 2 * width,
                     to_bytes(DType::bf16, samples(6 * width, 5)));
  const SparseRows q(DType::fp8_e4m3, 3, width, far_in ? width : huge_stride);
  const SparseRows s(DType::f32, 3, 1, 1);
  const quant::SiluAndMulPerTokenGroup call{.x = x.view(), .q = q.view(), .s = s.view()};
  launch(runtime(), call, nullptr);
  synchronize();
  ReferenceInput input;
  input.spec = bind(call).spec;
  input.tensors = {x.download("x"), q.download("q"), s.download("s")};
  const ReferenceResult verdict = find_reference("quant.silu_and_mul_per_token_group")(input);
  INFO(verdict.detail);
  CHECK(verdict.ok);
}

TEST_CASE("the reference of silu_and_mul_per_token_group rejects wrong elements") {
  const OpCase test = make_case({.rows = 3});
  const Outcome outcome = require_good(test);
  for (const std::size_t element : {std::size_t{0}, std::size_t{1500}, std::size_t{3071}}) {
    CHECK_FALSE(verdict_after_flip(test.op, outcome, "q", element, 1).ok);
  }
  CHECK_FALSE(verdict_after_flip(test.op, outcome, "s", 4 * 5, 3).ok);
}

TEST_CASE("silu_and_mul_per_token_group is finite wherever its result is") {
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType q = GENERATE(DType::fp8_e4m3, DType::fp8_e5m2, DType::i8);
  const std::string format = GENERATE("f32", "ue8m0");
  // Every row is a group of equal pairs, which alone set its scale.
  const std::vector<double> values = edge_gates(x, 16);
  const auto rows = static_cast<std::int64_t>(values.size() / 32);
  require_good(make_case(
      {.rows = rows, .width = 16, .group = 16, .x = x, .q = q, .format = format, .values = values}));
}

TEST_CASE("silu_and_mul_per_token_group forms no product that is larger than its result") {
  std::vector<double> values(32, 1.2);
  std::fill_n(values.begin() + 16, 16, 3e38);
  const Outcome outcome = require_good(make_case({.rows = 1, .width = 16, .group = 16, .values = values}));
  float scale = 0;
  std::memcpy(&scale, outcome.input.tensor("s")->bytes.data(), 4);
  CHECK(scale > 6.1e35F);
  CHECK(scale < 6.3e35F);
  CHECK(outcome.input.tensor("q")->bytes[0] == std::byte{0x7e});
}
