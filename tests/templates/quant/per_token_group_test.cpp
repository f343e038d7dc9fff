#include <kerncast/ops/quant/per_token_group.hpp>

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
  std::int64_t width = 1024;
  std::int64_t group = 128;
  DType x = DType::bf16;
  DType q = DType::fp8_e4m3;
  std::string layout = "row_major";
  std::string format = "f32";
  std::vector<double> values = {};
};

OpCase make_case(const Setting& setting) {
  const auto count = static_cast<std::size_t>(setting.rows * setting.width);
  // Groups differ much in magnitude, so that a scale in the wrong place shows.
  std::vector<double> values = setting.values;
  if (values.empty()) {
    values = samples(count, 11);
    for (std::size_t i = 0; i < count; ++i) {
      values[i] *= std::exp2(static_cast<double>(i / static_cast<std::size_t>(setting.group) * 7 % 19) - 9.0);
    }
  }
  OpCase made;
  made.op = "quant.per_token_group";
  made.params = {{"group", std::to_string(setting.group)},
                 {"scale_layout", setting.layout},
                 {"scale_format", setting.format}};
  const bool packed = setting.format == "packed_ue8m0";
  const std::int64_t groups = setting.width / setting.group;
  const std::int64_t columns = packed ? (groups + 3) / 4 : groups;
  TensorCase s{.name = "s", .dtype = packed ? DType::i32 : DType::f32, .shape = {setting.rows, columns}};
  if (setting.layout != "row_major") {
    const std::int64_t stride = setting.layout == "column_major" ? setting.rows : (setting.rows + 3) / 4 * 4;
    s.strides = {1, stride};
    s.storage = columns * stride;
    s.owns_padding = packed;
  }
  made.tensors = {
      {.name = "x",
       .dtype = setting.x,
       .shape = {setting.rows, setting.width},
       .bytes = to_bytes(setting.x, values)},
      {.name = "q", .dtype = setting.q, .shape = {setting.rows, setting.width}},
      s,
  };
  return made;
}

double value_at(const Outcome& outcome, const char* name, std::size_t element) {
  const HostTensor& tensor = *outcome.input.tensor(name);
  return reference::decode(tensor.dtype,
                           tensor.bytes.data() + element * static_cast<std::size_t>(size_of(tensor.dtype)));
}

}  // namespace

TEST_CASE("per_token_group is right in every layout and format") {
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
}

TEST_CASE("per_token_group is right in every group size and type of x") {
  const std::int64_t group = GENERATE(16, 32, 64, 128);
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType q = GENERATE(DType::fp8_e4m3, DType::i8);
  std::vector<double> values = samples(3 * 640, 12);
  require_good(make_case({.width = 640, .group = group, .x = x, .q = q, .values = values}));
}

TEST_CASE("per_token_group is right at the widths of the models") {
  const std::int64_t width =
      GENERATE(512, 768, 1536, 2048, 4096, 5120, 7168, 8192, 14336, 16384, 18432, 28672);
  require_good(make_case({.rows = 2, .width = width}));
  require_good(
      make_case({.rows = 5, .width = width, .layout = "column_major_tma_aligned", .format = "packed_ue8m0"}));
}

TEST_CASE("per_token_group is right at a width that 128 does not divide") {
  require_good(make_case({.rows = 3, .width = 2880, .group = 64}));
  require_good(make_case({.rows = 3,
                          .width = 2880,
                          .group = 32,
                          .layout = "column_major_tma_aligned",
                          .format = "packed_ue8m0"}));
}

TEST_CASE("per_token_group is right with many rows") {
  require_good(make_case({.rows = 700, .width = 1536}));
  require_good(make_case(
      {.rows = 701, .width = 1536, .layout = "column_major_tma_aligned", .format = "packed_ue8m0"}));
}

TEST_CASE("packed words are filled up with zeros") {
  const std::int64_t groups = GENERATE(1, 2, 3, 5, 6, 7);
  const std::int64_t rows = GENERATE(1, 2, 3, 4, 5, 6);
  const Outcome outcome = require_good(make_case(
      {.rows = rows, .width = groups * 128, .layout = "column_major_tma_aligned", .format = "packed_ue8m0"}));
  // The word of the last group of the first row: bytes past the group are zero, its own is not.
  const std::vector<std::byte>& bytes = outcome.input.tensor("s")->bytes;
  const auto word = static_cast<std::size_t>((groups - 1) / 4 * ((rows + 3) / 4 * 4)) * 4;
  for (std::size_t byte = 0; byte < 4; ++byte) {
    CHECK((bytes[word + byte] == std::byte{0}) == (static_cast<std::int64_t>(byte) > (groups - 1) % 4));
  }
}

TEST_CASE("per_token_group is right for no rows") {
  const std::string format = GENERATE("f32", "packed_ue8m0");
  require_good(make_case({.rows = 0, .layout = "column_major_tma_aligned", .format = format}));
}

TEST_CASE("per_token_group is right over strided rows and unaligned views") {
  const std::int64_t stride = GENERATE(1024, 1032, 1028, 1025);
  const std::int64_t q_stride = GENERATE(1024, 1040, 1026);
  OpCase test = make_case({.rows = 3});
  test.tensors[0].strides = {stride, 1};
  test.tensors[1].strides = {q_stride, 1};
  require_good(test);
  test.tensors[0].offset = 1;
  require_good(test);
  test.tensors[0].offset = 0;
  test.tensors[1].offset = 3;
  require_good(test);
}

TEST_CASE("per_token_group is right over leading dimensions") {
  OpCase test = make_case({.rows = 6});
  test.tensors[0].shape = {2, 3, 1024};
  test.tensors[1].shape = {2, 3, 1024};
  test.tensors[2].shape = {2, 3, 8};
  require_good(test);
}

TEST_CASE("per_token_group is right with scales in wider rows") {
  OpCase test = make_case({.rows = 3});
  test.tensors[2].strides = {11, 1};
  require_good(test);
  OpCase column = make_case({.rows = 3, .layout = "column_major"});
  column.tensors[2].strides = {1, 9};
  column.tensors[2].storage = 0;
  require_good(column);
}

TEST_CASE("per_token_group is right for zeros, infinity and NaN") {
  const DType q = GENERATE(DType::fp8_e4m3, DType::fp8_e5m2, DType::i8);
  const std::string format = GENERATE("f32", "ue8m0");
  std::vector<double> values = samples(5 * 128, 21);
  std::fill_n(values.begin(), 128, 0.0);
  values[128 + 5] = std::nan("");
  values[2 * 128 + 9] = -std::numeric_limits<double>::infinity();
  std::fill_n(values.begin() + 3 * 128, 128, std::nan(""));
  const Outcome outcome =
      require_good(make_case({.rows = 1, .width = 640, .q = q, .format = format, .values = values}));
  CHECK(value_at(outcome, "q", 7) == 0.0);
  CHECK(value_at(outcome, "s", 0) > 0.0);
  const bool integer = q == DType::i8;
  CHECK((integer ? value_at(outcome, "q", 133) == 0.0 : std::isnan(value_at(outcome, "q", 133))));
  CHECK(std::isfinite(value_at(outcome, "q", 134)));
  CHECK(std::isfinite(value_at(outcome, "s", 1)));
  CHECK(std::isinf(value_at(outcome, "s", 2)) == (format == "f32"));
  CHECK(std::isfinite(value_at(outcome, "q", 4 * 128)));
  if (!integer) {
    CHECK(outcome.input.tensor("q")->bytes[133] == std::byte{0x7f});
  }
}

TEST_CASE("per_token_group is right where amax / MAX is a power of two, and next to one") {
  const DType q = GENERATE(DType::fp8_e4m3, DType::fp8_e5m2, DType::i8);
  const double largest = q == DType::fp8_e4m3 ? 448.0 : q == DType::fp8_e5m2 ? 57344.0 : 127.0;
  std::vector<double> values = samples(8 * 16, 23, 0.01);
  std::vector<double> wanted;
  for (std::size_t group = 0; group < 8; ++group) {
    const double power = std::exp2(static_cast<double>(group) - 4.0);
    const int step = static_cast<int>(group % 3) - 1;
    values[group * 16 + 3] = -largest * power * (1.0 + step * 0x1p-22);
    wanted.push_back(step > 0 ? 2.0 * power : power);
  }
  const Outcome outcome = require_good(make_case(
      {.rows = 1, .width = 128, .group = 16, .x = DType::f32, .q = q, .format = "ue8m0", .values = values}));
  for (std::size_t group = 0; group < 8; ++group) {
    CHECK(value_at(outcome, "s", group) == wanted[group]);
  }
}

TEST_CASE("per_token_group is right for large and tiny values") {
  const double scale = GENERATE(1e-38, 1e-12, 1e-8, 1e30, 1e37);
  const std::string format = GENERATE("f32", "ue8m0");
  require_good(make_case(
      {.rows = 2, .width = 256, .x = DType::f32, .format = format, .values = samples(512, 29, scale)}));
}

TEST_CASE("per_token_group rounds int8 to nearest even") {
  std::vector<double> values(128, 0.0);
  values[0] = 127.0;  // a scale of 1
  for (std::size_t i = 1; i < 128; ++i) {
    values[i] = static_cast<double>(i) - 63.5;
  }
  const Outcome outcome =
      require_good(make_case({.rows = 1, .width = 128, .q = DType::i8, .values = values}));
  for (std::size_t i = 1; i < 128; ++i) {
    CHECK(value_at(outcome, "q", i) == std::nearbyint(values[i]));
  }
}

TEST_CASE("per_token_group where NaN, infinity and zeros keep to their rows") {
  const auto [layout, format] = GENERATE(table<std::string, std::string>(
      {{"row_major", "f32"}, {"column_major", "ue8m0"}, {"column_major_tma_aligned", "packed_ue8m0"}}));
  const DType q = GENERATE(DType::fp8_e4m3, DType::i8);
  std::vector<double> values = samples(5 * 640, 73);
  const OpCase sound =
      make_case({.rows = 5, .width = 640, .q = q, .layout = layout, .format = format, .values = values});
  std::fill_n(values.begin() + 640, 640, std::nan(""));
  std::fill_n(values.begin() + 2 * 640, 640, 0.0);
  values[3 * 640 + 100] = std::numeric_limits<double>::infinity();
  const Outcome spoiled = require_good(
      make_case({.rows = 5, .width = 640, .q = q, .layout = layout, .format = format, .values = values}));
  const Outcome whole = require_good(sound);
  const std::vector<std::byte>& after = spoiled.input.tensor("q")->bytes;
  const std::vector<std::byte>& before = whole.input.tensor("q")->bytes;
  CHECK(std::equal(after.begin(), after.begin() + 640, before.begin()));
  CHECK(std::equal(after.begin() + 4 * 640, after.end(), before.begin() + 4 * 640));
  CHECK(std::all_of(after.begin() + 2 * 640, after.begin() + 3 * 640,
                    [](std::byte b) { return b == std::byte{0}; }));
}

TEST_CASE("per_token_group is right where rows lie more than 2^31 elements apart") {
  const int far = GENERATE(0, 1, 2, 3);
  constexpr std::int64_t width = 384;
  const auto stride = [&](int which, std::int64_t near) { return far == which ? huge_stride : near; };
  const SparseRows x(DType::bf16, 3, width, stride(0, width), to_bytes(DType::bf16, samples(3 * width, 83)));
  const SparseRows q(DType::fp8_e4m3, 3, width, stride(1, width));
  const SparseRows s(DType::f32, 3, 3, stride(2, stride(3, 3)));
  quant::PerTokenGroup call{.x = x.view(), .q = q.view(), .s = s.view()};
  if (far == 3) {
    // Groups are far apart; tokens are contiguous.
    call.scale_layout = quant::ScaleLayout::column_major;
    std::swap(call.s.strides[0], call.s.strides[1]);
  }
  launch(runtime(), call, nullptr);
  synchronize();
  HostTensor scales = s.download("s");
  if (far == 3) {
    std::swap(scales.strides[0], scales.strides[1]);
  }
  ReferenceInput input;
  input.spec = bind(call).spec;
  input.tensors = {x.download("x"), q.download("q"), scales};
  const ReferenceResult verdict = find_reference("quant.per_token_group")(input);
  INFO(verdict.detail);
  CHECK(verdict.ok);
}

TEST_CASE("the reference of per_token_group rejects wrong elements") {
  const DType q = GENERATE(DType::fp8_e4m3, DType::i8);
  const OpCase test =
      make_case({.rows = 3, .q = q, .layout = "column_major_tma_aligned", .format = "packed_ue8m0"});
  const Outcome outcome = require_good(test);
  for (const std::size_t element : {std::size_t{0}, std::size_t{1500}, std::size_t{3071}}) {
    CHECK_FALSE(verdict_after_flip(test.op, outcome, "q", element, 1).ok);
  }
  CHECK_FALSE(verdict_after_flip(test.op, outcome, "s", 0, 0).ok);
  CHECK_FALSE(verdict_after_flip(test.op, outcome, "s", 13, 0).ok);  // padding: the fourth token

  const OpCase plain = make_case({.rows = 3, .q = q});
  const Outcome floats = require_good(plain);
  CHECK_FALSE(verdict_after_flip(plain.op, floats, "s", 4 * 5, 2).ok);
  CHECK_FALSE(verdict_after_flip(plain.op, floats, "q", 700, 0).ok);
}

TEST_CASE("per_token_group is right at the edges of the types") {
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType q = GENERATE(DType::fp8_e4m3, DType::fp8_e5m2, DType::i8);
  const std::string format = GENERATE("f32", "ue8m0");
  require_good(make_case({.rows = 16,
                          .width = 64,
                          .group = 16,
                          .x = x,
                          .q = q,
                          .format = format,
                          .values = edge_samples(x, 16 * 64, 83)}));
}

TEST_CASE("int8 saturates at -128 under a scale that is not that of its largest value") {
  // 2^127 is the largest ue8m0 scale, so infinity saturates.
  std::vector<double> values(16, 1.0);
  values[3] = -std::numeric_limits<double>::infinity();
  values[4] = std::numeric_limits<double>::infinity();
  values[5] = std::nan("");
  const Outcome outcome = require_good(
      make_case({.rows = 1, .width = 16, .group = 16, .q = DType::i8, .format = "ue8m0", .values = values}));
  const std::vector<std::byte>& q = outcome.input.tensor("q")->bytes;
  CHECK(q[3] == std::byte{0x80});
  CHECK(q[4] == std::byte{0x7f});
  CHECK(q[5] == std::byte{0});
  CHECK(q[0] == std::byte{0});
}

TEST_CASE("the scale of a group passes NaN over, and infinity makes it infinite") {
  std::vector<double> values(32, 3.5);
  values[3] = std::nan("");
  values[16 + 3] = std::numeric_limits<double>::infinity();
  const Outcome outcome = require_good(make_case({.rows = 1, .width = 32, .group = 16, .values = values}));
  const HostTensor& s = *outcome.input.tensor("s");
  CHECK(reference::decode(DType::f32, s.bytes.data()) == Approx(3.5 / 448));
  CHECK(std::isinf(reference::decode(DType::f32, s.bytes.data() + 4)));
  const std::vector<std::byte>& q = outcome.input.tensor("q")->bytes;
  CHECK(q[0] == std::byte{0x7e});
  CHECK(q[3] == std::byte{0x7f});
  CHECK(q[16] == std::byte{0});
  CHECK(q[16 + 3] == std::byte{0x7f});
}
