#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include <kerncast/ops/quant/mxfp4.hpp>
#include <kerncast/ops/quant/mxfp8.hpp>
#include <kerncast/ops/quant/nvfp4.hpp>
#include "templates/reference/block_scaled.hpp"
#include "templates/reference/host_float.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const std::vector<std::string> kinds = {"nvfp4", "mxfp4", "mxfp8"};

struct Setting {
  std::int64_t rows = 3;
  std::int64_t width = 512;
  DType x = DType::bf16;
  std::string layout = "linear";
  std::vector<double> values = {};
  bool ocp_floor = false;
  DType q = DType::fp8_e4m3;  ///< element type of q for mxfp8
  double global_scale = 180.0;
};

OpCase make_case(const std::string& kind, const Setting& setting) {
  const bool nvfp4 = kind == "nvfp4";
  const std::int64_t block = nvfp4 ? 16 : 32;
  const auto count = static_cast<std::size_t>(setting.rows * setting.width);
  std::vector<double> values = setting.values;
  if (values.empty()) {
    // Blocks differ much in magnitude, so that a scale in the wrong place shows.
    values = samples(count, 31);
    for (std::size_t i = 0; i < count; ++i) {
      values[i] *= std::exp2(static_cast<double>(i / static_cast<std::size_t>(block) * 7 % 11) - 7.0);
    }
  }
  OpCase made;
  made.op = "quant." + kind;
  made.params = {{"sf_layout", setting.layout}};
  const std::int64_t blocks = setting.width / block;
  TensorCase sf{
      .name = "sf", .dtype = nvfp4 ? DType::fp8_e4m3 : DType::ue8m0, .shape = {setting.rows, blocks}};
  if (setting.layout == "swizzled") {
    sf.shape = {(setting.rows + 127) / 128 * 128, (blocks + 3) / 4 * 4};
  }
  made.tensors = {
      {.name = "x",
       .dtype = setting.x,
       .shape = {setting.rows, setting.width},
       .bytes = to_bytes(setting.x, values)},
      {.name = "q",
       .dtype = kind == "mxfp8" ? setting.q : DType::u8,
       .shape = {setting.rows, kind == "mxfp8" ? setting.width : setting.width / 2}},
      sf,
  };
  if (nvfp4) {
    made.tensors.push_back({.name = "global_scale",
                            .dtype = DType::f32,
                            .shape = {1},
                            .bytes = to_bytes(DType::f32, {setting.global_scale})});
  } else {
    made.params.emplace_back("ocp_floor", setting.ocp_floor ? "true" : "false");
  }
  return made;
}

/// A case of experts with `counts` rows each, and `loose` rows that no expert has.
OpCase make_split(const std::vector<int>& counts, const std::string& layout, std::int64_t loose) {
  std::vector<double> offsets{0};
  std::vector<double> sf_offsets{0};
  std::vector<double> scales;
  for (const int count : counts) {
    const int padded = (count + 127) / 128 * 128;
    offsets.push_back(offsets.back() + count);
    sf_offsets.push_back(sf_offsets.back() + padded);
    scales.push_back(100.0 + 37.0 * static_cast<double>(scales.size()));
  }
  const auto experts = static_cast<std::int64_t>(counts.size());
  const std::int64_t rows = static_cast<std::int64_t>(offsets.back()) + loose;
  OpCase made = make_case("nvfp4", {.rows = rows, .width = 80, .layout = layout});
  if (layout == "swizzled") {
    // One tile is more than the experts fill.
    made.tensors[2].shape[0] =
        std::max(static_cast<std::int64_t>(sf_offsets.back()), (rows + 127) / 128 * 128) + 128;
  }
  made.tensors[3].shape = {experts};
  made.tensors[3].bytes = to_bytes(DType::f32, scales);
  made.tensors.push_back({.name = "expert_offsets",
                          .dtype = DType::i32,
                          .shape = {experts + 1},
                          .bytes = to_bytes(DType::i32, offsets)});
  if (layout == "swizzled") {
    made.tensors.push_back({.name = "sf_offsets",
                            .dtype = DType::i32,
                            .shape = {experts + 1},
                            .bytes = to_bytes(DType::i32, sf_offsets)});
  }
  return made;
}

double fp4_at(const Outcome& outcome, std::size_t element) {
  const auto byte = std::to_integer<unsigned>(outcome.input.tensor("q")->bytes[element / 2]);
  return reference::decode_e2m1(element % 2 == 0 ? byte & 15U : byte >> 4);
}

}  // namespace

TEST_CASE("blocks are right at the widths of the models, in both layouts") {
  const std::string kind = GENERATE(from_range(kinds));
  const std::string layout = GENERATE("linear", "swizzled");
  const std::int64_t width = GENERATE(512, 768, 1536, 2048, 2880, 4096, 7168, 18432);
  require_good(make_case(kind, {.rows = 1, .width = width, .layout = layout}));
}

TEST_CASE("blocks are right for every type of x, and few to many rows") {
  const std::string kind = GENERATE(from_range(kinds));
  const std::string layout = GENERATE("linear", "swizzled");
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const std::int64_t rows = GENERATE(0, 1, 5, 33, 128, 129, 300);
  require_good(make_case(kind, {.rows = rows, .width = 96, .x = x, .layout = layout}));
}

TEST_CASE("blocks are right at widths that are no multiple of four of them") {
  const std::string kind = GENERATE(from_range(kinds));
  const std::int64_t blocks = GENERATE(1, 2, 3, 5, 6, 7, 9);
  require_good(
      make_case(kind, {.rows = 40, .width = blocks * (kind == "nvfp4" ? 16 : 32), .layout = "swizzled"}));
}

TEST_CASE("mxfp8 in both fp8 types and both ways to round the exponent") {
  const std::string kind = GENERATE("mxfp4", "mxfp8");
  const DType q = GENERATE(DType::fp8_e4m3, DType::fp8_e5m2);
  const bool ocp_floor = GENERATE(false, true);
  OpCase test = make_case(kind, {.rows = 9, .ocp_floor = ocp_floor, .q = q});
  if (kind == "mxfp8") {
    test.params.emplace_back("q_dtype", q == DType::fp8_e4m3 ? "fp8_e4m3" : "fp8_e5m2");
  }
  require_good(test);
}

TEST_CASE("blocks are right over strided rows and unaligned views") {
  const std::string kind = GENERATE(from_range(kinds));
  const std::string layout = GENERATE("linear", "swizzled");
  const std::int64_t pad = GENERATE(0, 8, 4, 1);
  OpCase test = make_case(kind, {.layout = layout});
  test.tensors[0].strides = {512 + pad, 1};
  test.tensors[1].strides = {test.tensors[1].shape[1] + 3, 1};
  require_good(test);
  test.tensors[0].offset = 1;
  require_good(test);
  test.tensors[0].offset = 0;
  test.tensors[1].strides = {};
  test.tensors[1].offset = 1;
  require_good(test);
}

TEST_CASE("linear scales lie in wider rows, and rows in leading dimensions") {
  OpCase test = make_case("nvfp4", {.rows = 6});
  test.tensors[2].strides = {37, 1};
  require_good(test);
  test.tensors[0].shape = {2, 3, 512};
  test.tensors[1].shape = {2, 3, 256};
  test.tensors[2].shape = {2, 3, 32};
  test.tensors[2].strides = {};
  require_good(test);
}

TEST_CASE("swizzled scales lie where block-scaled MMA looks for them") {
  // One block of a magnitude of its own, in a tensor of zeros.
  constexpr std::int64_t width = 160;
  const std::int64_t row = GENERATE(0, 1, 31, 32, 100, 127, 128, 200);
  const std::int64_t block = GENERATE(0, 3, 4, 9);
  std::vector<double> values(static_cast<std::size_t>(201 * width), 0.0);
  values[static_cast<std::size_t>(row * width + block * 16 + 7)] = 6.0;
  const Outcome outcome = require_good(make_case(
      "nvfp4", {.rows = 201, .width = width, .layout = "swizzled", .values = values, .global_scale = 1.0}));
  const std::vector<std::byte>& sf = outcome.input.tensor("sf")->bytes;
  CHECK(std::count_if(sf.begin(), sf.end(), [](std::byte b) { return b != std::byte{0}; }) == 1);
  // Tiles of 512 bytes, three to a row of tiles: 32 rows of four times four blocks.
  const std::int64_t tile = row / 128 * 3 + block / 4;
  const std::int64_t within = row % 32 * 16 + row % 128 / 32 * 4 + block % 4;
  CHECK(sf[static_cast<std::size_t>(tile * 512 + within)] == std::byte{0x38});
}

TEST_CASE("nvfp4 splits rows among experts") {
  const std::string layout = GENERATE("linear", "swizzled");
  const std::vector<int> counts = GENERATE(std::vector<int>{5}, std::vector<int>{0, 3, 0, 130, 1, 0},
                                           std::vector<int>{128, 256, 7}, std::vector<int>{0, 0});
  require_good(make_split(counts, layout, 0));
}

TEST_CASE("nvfp4 leaves rows of no expert alone") {
  const std::string layout = GENERATE("linear", "swizzled");
  const Outcome outcome = require_good(make_split({3, 4}, layout, 5));
  const std::vector<std::byte>& q = outcome.input.tensor("q")->bytes;
  CHECK(std::all_of(q.begin() + 7 * 40, q.end(), [](std::byte b) { return b == std::byte{0xcd}; }));
}

TEST_CASE("fp4 rounds to nearest even and saturates") {
  std::vector<double> values(32, 0.0);
  const std::vector<double> some = {6.0,   0.25, 0.75, 1.25, 1.75, 2.5,  3.5,  5.0,  -0.25, -0.75, -1.25,
                                    -1.75, -2.5, -3.5, -5.0, -6.0, 0.26, 0.74, 1.26, 2.51,  4.99};
  std::copy(some.begin(), some.end(), values.begin());
  const std::string kind = GENERATE("nvfp4", "mxfp4");
  values[16] = 6.0;
  const Outcome outcome = require_good(
      make_case(kind, {.rows = 1, .width = 32, .x = DType::f32, .values = values, .global_scale = 1.0}));
  const std::vector<double> wanted = {6, 0, 1, 1, 2, 2, 4, 4, 0, -1, -1, -2, -2, -4, -4, -6};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    INFO(values[i]);
    CHECK(fp4_at(outcome, i) == wanted[i]);
  }
}

TEST_CASE("blocks of zeros, infinity and NaN keep to themselves") {
  const std::string kind = GENERATE(from_range(kinds));
  const bool ocp_floor = GENERATE(false, true);
  std::vector<double> values = samples(5 * 64, 77);
  std::fill_n(values.begin(), 64, 0.0);
  values[64 + 3] = std::nan("");
  values[2 * 64 + 3] = std::numeric_limits<double>::infinity();
  values[2 * 64 + 40] = -std::numeric_limits<double>::infinity();
  std::fill_n(values.begin() + 3 * 64, 64, std::nan(""));
  const Outcome outcome =
      require_good(make_case(kind, {.rows = 5, .width = 64, .values = values, .ocp_floor = ocp_floor}));
  const std::vector<std::byte>& q = outcome.input.tensor("q")->bytes;
  CHECK(std::all_of(q.begin(), q.begin() + (kind == "mxfp8" ? 64 : 32),
                    [](std::byte b) { return b == std::byte{0}; }));
  if (kind == "mxfp8") {
    CHECK(q[64 + 3] == std::byte{0x7f});
  }
}

TEST_CASE("blocks are right for large and tiny values") {
  const std::string kind = GENERATE(from_range(kinds));
  const double scale = GENERATE(1e-38, 1e-12, 1e-8, 1e30, 1e37);
  const bool ocp_floor = GENERATE(false, true);
  require_good(make_case(
      kind,
      {.rows = 2, .width = 128, .x = DType::f32, .values = samples(256, 29, scale), .ocp_floor = ocp_floor}));
}

TEST_CASE("powers of two and their neighbours get the exponents of the formulas") {
  const bool ocp_floor = GENERATE(false, true);
  std::vector<double> values(8 * 32, 0.0);
  for (std::size_t block = 0; block < 8; ++block) {
    const double power = std::exp2(static_cast<double>(block) - 4.0);
    values[block * 32 + 3] = 6.0 * power * (block % 2 == 0 ? 1.0 : 1.0 + 0x1p-20);
  }
  const Outcome outcome = require_good(make_case(
      "mxfp4", {.rows = 1, .width = 256, .x = DType::f32, .values = values, .ocp_floor = ocp_floor}));
  for (std::size_t block = 0; block < 8; ++block) {
    const auto up = static_cast<unsigned>(!ocp_floor && block % 2 != 0);
    CHECK(std::to_integer<unsigned>(outcome.input.tensor("sf")->bytes[block]) == 127 + block - 4 + up);
  }
}

TEST_CASE("what is quantised by blocks is half a step from x at most") {
  const std::string kind = GENERATE(from_range(kinds));
  const std::vector<double> values = samples(64 * 64, 99);
  const Outcome outcome = require_good(
      make_case(kind, {.rows = 64, .width = 64, .x = DType::f32, .values = values, .global_scale = 100.0}));
  const HostTensor& q = *outcome.input.tensor("q");
  const HostTensor& sf = *outcome.input.tensor("sf");
  const std::size_t block = kind == "nvfp4" ? 16 : 32;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double scale =
        reference::decode(sf.dtype, sf.bytes.data() + i / block) / (kind == "nvfp4" ? 100.0 : 1.0);
    const double got =
        scale * (kind == "mxfp8" ? reference::decode(q.dtype, q.bytes.data() + i) : fp4_at(outcome, i));
    // The widest step: 2 of e2m1 (half of it 1), 32 of e4m3. A scale rounded down saturates by up to a 16th.
    const double half = kind == "mxfp8" ? 16.0 : 1.0;
    CHECK(std::fabs(got - values[i]) <= scale * half * 1.0001);
  }
}

TEST_CASE("the references of blocks reject wrong elements") {
  const std::string kind = GENERATE(from_range(kinds));
  const OpCase test = make_case(kind, {.rows = 3, .layout = "swizzled"});
  const Outcome outcome = require_good(test);
  for (const std::size_t byte : {std::size_t{0}, std::size_t{150}, std::size_t{767}}) {
    CHECK_FALSE(verdict_after_flip(test.op, outcome, "q", byte, 2).ok);
  }
  CHECK_FALSE(verdict_after_flip(test.op, outcome, "sf", 0, 0).ok);
  CHECK_FALSE(verdict_after_flip(test.op, outcome, "sf", 5, 0).ok);  // padding: the 33rd row
}

TEST_CASE("blocks are right at the edges of the types") {
  const std::string kind = GENERATE(from_range(kinds));
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const bool ocp_floor = GENERATE(true, false);
  require_good(
      make_case(kind, {.rows = 8, .x = x, .values = edge_samples(x, 8 * 512, 71), .ocp_floor = ocp_floor}));
}

TEST_CASE("nvfp4 is right under every global scale that there is") {
  const double scale =
      GENERATE(1e-45, 1e-42, 1e-38, 1e-20, 1e20, 1e30, 3.4e38, 0.0, -0.0, -1.0, -180.0, -3e38);
  require_good(make_case(
      "nvfp4",
      {.rows = 8, .x = DType::f32, .values = edge_samples(DType::f32, 8 * 512, 73), .global_scale = scale}));
  require_good(make_case("nvfp4", {.global_scale = scale}));
}

TEST_CASE("nvfp4 of a global scale that is no number follows the formula") {
  const double scale = GENERATE(infinity, -infinity, std::numeric_limits<double>::quiet_NaN());
  std::vector<double> values = samples(3 * 512, 79);
  std::fill_n(values.begin(), 64, 0.0);
  values[100] = infinity;
  require_good(make_case("nvfp4", {.values = values, .global_scale = scale}));
}

TEST_CASE("nvfp4 of tiny blocks under a huge global scale keeps zeros") {
  std::vector<double> values(16, 1e-40);
  values[3] = 0.0;
  const Outcome outcome = require_good(
      make_case("nvfp4", {.rows = 1, .width = 16, .x = DType::f32, .values = values, .global_scale = 3e38}));
  CHECK(fp4_at(outcome, 0) > 5.0);
  CHECK(fp4_at(outcome, 3) == 0.0);
}

TEST_CASE("nvfp4 with offsets out of order or outside touches no other memory") {
  const std::string layout = GENERATE("linear", "swizzled");
  const std::vector<double> offsets =
      GENERATE(std::vector<double>{0, 40, 20, 60}, std::vector<double>{-50, -7, 30, 60},
               std::vector<double>{60, 40, 20, 0}, std::vector<double>{0, 20, 40, 1e9},
               std::vector<double>{-2147483648.0, 2147483647.0, -2147483648.0, 2147483647.0});
  OpCase test = make_split({20, 20, 20}, layout, 0);
  test.tensors[4].bytes = to_bytes(DType::i32, offsets);
  require_good(test);
  if (layout == "swizzled") {
    for (const std::vector<double>& bad :
         {std::vector<double>{0, 256, 128, 384}, std::vector<double>{5, 77, 99, 512},
          std::vector<double>{-128, 0, 128, 1e9}}) {
      test.tensors[5].bytes = to_bytes(DType::i32, bad);
      require_good(test);
    }
  }
}

TEST_CASE("nvfp4 of no rows clears the swizzled scales of its experts") {
  OpCase test = make_split({0, 0}, "swizzled", 0);
  const Outcome outcome = require_good(test);
  const std::vector<std::byte>& sf = outcome.input.tensor("sf")->bytes;
  CHECK(sf.size() == 128 * 8);
  CHECK(std::all_of(sf.begin(), sf.end(), [](std::byte b) { return b == std::byte{0}; }));
}

TEST_CASE("scales of blocks: zeros, NaN and infinity") {
  const bool ocp_floor = GENERATE(false, true);
  const auto codes = [&](const std::string& kind, const std::vector<double>& values) {
    return require_good(make_case(kind, {.rows = 1, .width = 32, .values = values, .ocp_floor = ocp_floor}))
        .input.tensor("sf")
        ->bytes;
  };
  std::vector<double> values(32, 0.0);
  // The exponent of 1e-10 / MAX, whichever way it is rounded.
  CHECK(codes("mxfp8", values)[0] == std::byte{85});
  CHECK(codes("mxfp4", values)[0] == std::byte{static_cast<unsigned char>(ocp_floor ? 91 : 92)});
  CHECK(codes("nvfp4", values) == std::vector<std::byte>(2, std::byte{0}));
  values.assign(32, 1.75);
  const std::vector<std::byte> whole = codes("mxfp8", values);
  values[7] = std::nan("");
  CHECK(codes("mxfp8", values) == whole);
  values[7] = infinity;
  CHECK(codes("mxfp8", values)[0] == std::byte{254});
  CHECK(codes("mxfp4", values)[0] == std::byte{254});
  CHECK(codes("nvfp4", values)[0] == std::byte{0x7e});
}

TEST_CASE("NaN gives 6 in nvfp4 where the scale is 0 too") {
  std::vector<double> values(16, 0.0);
  values[5] = std::nan("");
  const Outcome outcome = require_good(make_case("nvfp4", {.rows = 1, .width = 16, .values = values}));
  CHECK(outcome.input.tensor("sf")->bytes[0] == std::byte{0});
  CHECK(fp4_at(outcome, 5) == 6.0);
  CHECK(fp4_at(outcome, 4) == 0.0);
}
