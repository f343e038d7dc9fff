#include <kerncast/ops/norm/rms_norm_quant.hpp>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include <kerncast/ops/norm/fused_add_rms_norm_quant.hpp>
#include "tests/templates/norm/quant_cases.hpp"

using namespace kerncast;
using namespace kerncast::test;

TEST_CASE("the norms that quantise by groups are right in every layout and format") {
  const auto [layout, format] =
      GENERATE(table<std::string, std::string>({{"row_major", "f32"},
                                                {"row_major", "ue8m0"},
                                                {"column_major", "f32"},
                                                {"column_major", "ue8m0"},
                                                {"column_major_tma_aligned", "f32"},
                                                {"column_major_tma_aligned", "ue8m0"},
                                                {"column_major_tma_aligned", "packed_ue8m0"}}));
  const std::int64_t rows = GENERATE(1, 4, 7);
  QuantNorm test{.shape = {rows, 1024}, .scaling = "per_group", .layout = layout, .format = format};
  test.adds = GENERATE(false, true);
  test.q = GENERATE(DType::fp8_e4m3, DType::i8);
  require_good(make_case(test));
}

TEST_CASE("the norms that quantise are right in every group size and type") {
  QuantNorm test{.shape = {3, 640}, .scaling = "per_group", .has_y = true};
  test.adds = GENERATE(false, true);
  test.group = GENERATE(16, 32, 64, 128);
  test.x = GENERATE(DType::bf16, DType::f16, DType::f32);
  test.y = test.x;
  test.residual = test.x;
  test.q = GENERATE(DType::fp8_e4m3, DType::fp8_e5m2, DType::i8);
  require_good(make_case(test));
}

TEST_CASE("the norms that quantise by blocks are right in both layouts and every type") {
  QuantNorm test{.shape = {GENERATE(1, 7, 130), 1024}};
  test.scaling = GENERATE("mxfp8", "mxfp4", "nvfp4");
  test.sf_layout = GENERATE("linear", "swizzled");
  test.adds = GENERATE(false, true);
  test.x = GENERATE(DType::bf16, DType::f32);
  test.residual = test.x;
  test.has_y = test.shape.rows == 7;
  test.q = test.adds ? DType::fp8_e5m2 : DType::fp8_e4m3;
  require_good(make_case(test));
}

TEST_CASE("the norms that quantise by blocks are right where blocks fill no four, and at widths of models") {
  QuantNorm test;
  test.scaling = GENERATE("mxfp8", "mxfp4", "nvfp4");
  test.sf_layout = GENERATE("linear", "swizzled");
  const std::int64_t width = GENERATE(32, 96, 288, 2880, 7168, 16384);
  test.shape = {3, width};
  require_good(make_case(test));
  test.adds = true;
  test.x = DType::f16;
  test.y = DType::f32;
  test.has_y = true;
  require_good(make_case(test));
}

TEST_CASE("the norms that quantise by blocks take strided rows, unaligned views and leading dimensions") {
  QuantNorm of{.shape = {6, 160}};
  of.scaling = GENERATE("mxfp8", "mxfp4", "nvfp4");
  of.sf_layout = GENERATE("linear", "swizzled");
  of.adds = GENERATE(false, true);
  const std::int64_t offset = GENERATE(0, 1, 2);
  OpCase test = make_case(of);
  for (const char* name : {"x", "q"}) {
    TensorCase& tensor = tensor_of(test, name);
    tensor.strides = {tensor.shape[1] + 8 + offset, 1};
    tensor.offset = offset;
  }
  require_good(test);
}

TEST_CASE("a norm that quantises by blocks is the norm in f32, then quantisation") {
  const auto [scaling, op] = GENERATE(table<std::string, std::string>(
      {{"mxfp8", "quant.mxfp8"}, {"mxfp4", "quant.mxfp4"}, {"nvfp4", "quant.nvfp4"}}));
  QuantNorm of{.shape = {130, 288}, .has_y = true, .y = DType::f32};
  of.scaling = scaling;
  of.sf_layout = GENERATE("linear", "swizzled");
  const Outcome fused = require_good(make_case(of));
  OpCase alone;
  alone.op = op;
  alone.params = {{"sf_layout", of.sf_layout}};
  alone.tensors = {input_rows("x", DType::f32, of.shape, 1)};
  alone.tensors[0].bytes = fused.input.tensor("y")->bytes;
  for (TensorCase& tensor : make_case(of).tensors) {
    if (tensor.name == "q" || tensor.name == "s" || tensor.name == "global_scale") {
      tensor.name = tensor.name == "s" ? "sf" : tensor.name;
      alone.tensors.push_back(tensor);
    }
  }
  const Outcome quantised = require_good(alone);
  CHECK(fused.input.tensor("q")->bytes == quantised.input.tensor("q")->bytes);
  CHECK(fused.input.tensor("s")->bytes == quantised.input.tensor("sf")->bytes);
}

TEST_CASE("the norms that quantise by blocks keep zeros, infinity and NaN to their rows") {
  QuantNorm of{.shape = {4, 128}};
  of.scaling = GENERATE("mxfp8", "mxfp4", "nvfp4");
  of.sf_layout = GENERATE("linear", "swizzled");
  std::vector<double> values = samples(4 * 128, 9);
  std::fill_n(values.begin(), 128, 0.0);
  values[128 + 7] = std::numeric_limits<double>::infinity();
  values[2 * 128 + 3] = std::nan("");
  OpCase test = make_case(of);
  tensor_of(test, "x").bytes = to_bytes(DType::bf16, values);
  require_good(test);
}

TEST_CASE("a global scale of any value follows the formula in the norms that quantise") {
  QuantNorm of{.shape = {3, 128}, .scaling = "nvfp4"};
  of.global_scale = GENERATE(1.0, -3.0, 0.0, 1e-30, 448.0 * 6.0, 1e20, 3e38);
  of.sf_layout = GENERATE("linear", "swizzled");
  require_good(make_case(of));
}

TEST_CASE("the norms that quantise by tokens and by a static scale are right in every type") {
  QuantNorm test{.shape = {3, 320}};
  test.adds = GENERATE(false, true);
  test.scaling = GENERATE("per_token", "per_tensor");
  test.x = GENERATE(DType::bf16, DType::f16, DType::f32);
  test.residual = GENERATE(DType::bf16, DType::f32);
  test.q = GENERATE(DType::fp8_e4m3, DType::fp8_e5m2, DType::i8);
  test.has_y = GENERATE(false, true);
  test.y = DType::f32;
  test.weight = DType::f32;
  require_good(make_case(test));
}

TEST_CASE("the norms that quantise are right at the widths of the models") {
  QuantNorm test;
  test.adds = GENERATE(false, true);
  test.scaling = GENERATE("per_token", "per_tensor", "per_group");
  const std::int64_t width = GENERATE(512, 1536, 2048, 2880, 4096, 5120, 7168, 8192);
  const std::int64_t rows = GENERATE(1, 17);
  test.shape = {rows, width};
  test.group = width % 128 == 0 ? 128 : 64;
  require_good(make_case(test));
}

TEST_CASE("fused_add_rms_norm_quant is rms_norm_quant of the sum that it stores, if that is rounded first") {
  QuantNorm of{.adds = true, .has_y = true};
  of.scaling = GENERATE("per_token", "per_tensor", "per_group");
  of.x = of.residual = of.y = GENERATE(DType::bf16, DType::f16, DType::f32);
  of.shape = {2, GENERATE(640, 65536)};
  OpCase fused = make_case(of);
  const std::vector<std::byte> before = bytes_of(require_good(fused), "y");
  fused.params.emplace_back("round_residual", "true");
  const Outcome outcome = require_good(fused);
  of.adds = false;
  OpCase plain = make_case(of);
  tensor_of(plain, "x").bytes = bytes_of(outcome, "residual_out");
  const Outcome expected = require_good(plain);
  for (const char* name : {"y", "q", "s"}) {
    if (outcome.input.tensor(name) != nullptr) {
      INFO(name);
      CHECK(bytes_of(outcome, name) == bytes_of(expected, name));
    }
  }
  CHECK((before == bytes_of(outcome, "y")) == (of.x == DType::f32));
}

TEST_CASE("the norms that quantise are right for many rows") {
  QuantNorm test{.shape = {301, 1536}};
  test.adds = GENERATE(false, true);
  test.scaling = GENERATE("per_token", "per_group");
  test.layout = "column_major_tma_aligned";
  test.format = "packed_ue8m0";
  require_good(make_case(test));
}

TEST_CASE("packed words of a norm are filled up with zeros") {
  const std::int64_t groups = GENERATE(1, 2, 3, 5, 6, 7);
  const std::int64_t rows = GENERATE(1, 2, 3, 5);
  require_good(make_case(QuantNorm{.shape = {rows, groups * 128},
                                   .scaling = "per_group",
                                   .layout = "column_major_tma_aligned",
                                   .format = "packed_ue8m0"}));
}

TEST_CASE("the norms that quantise take no rows and odd widths") {
  QuantNorm test;
  test.adds = GENERATE(false, true);
  test.scaling = GENERATE("per_token", "per_tensor");
  const std::int64_t rows = GENERATE(0, 1, 5);
  const std::int64_t width = GENERATE(1, 3, 31, 33, 1001);
  test.shape = {rows, width};
  require_good(make_case(test));
  require_good(make_case(QuantNorm{.shape = {0, 256}, .scaling = "per_group"}));
}

TEST_CASE("the norms that quantise are right for rows beyond what registers hold") {
  QuantNorm test{.shape = {1, 65536}, .has_y = true};
  test.adds = GENERATE(false, true);
  test.scaling = GENERATE("per_token", "per_tensor", "per_group");
  test.x = test.residual = test.y = GENERATE(DType::bf16, DType::f32);
  OpCase made = make_case(test);
  require_good(made);
  tensor_of(made, "y").alias = "x";
  require_good(made);
}

TEST_CASE("the norms that quantise take strided rows and unaligned views") {
  QuantNorm of{.shape = {3, 1536}, .has_y = true};
  of.adds = GENERATE(false, true);
  of.scaling = GENERATE("per_token", "per_group");
  OpCase test = make_case(of);
  const std::string which = GENERATE("x", "q", "y", "residual");
  if (which == "residual" && !of.adds) {
    return;
  }
  SECTION("strides") {
    stride_rows(test, which, GENERATE(1552, 1544, 1540, 1537));
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

TEST_CASE("the norms that quantise take leading dimensions, and scales in wider rows") {
  OpCase test = make_case(QuantNorm{.shape = {6, 256}});
  tensor_of(test, "x").shape = tensor_of(test, "q").shape = {2, 3, 256};
  tensor_of(test, "s").shape = {2, 3, 1};
  require_good(test);
  tensor_of(test, "s").strides = {15, 5, 1};
  require_good(test);
}

TEST_CASE("a norm that quantises is the norm, then quantisation") {
  // With f32 results, the norm alone rounds nothing away before the quantisation.
  QuantNorm of{.shape = {5, 2048}, .x = DType::f32, .has_y = true, .y = DType::f32, .weight = DType::f32};
  of.scaling = GENERATE("per_token", "per_group");
  const Outcome outcome = require_good(make_case(of));
  const std::size_t parts = of.scaling == "per_token" ? 5 : 5 * 16;
  const std::size_t size = std::size_t{5} * 2048 / parts;
  for (std::size_t part = 0; part < parts; ++part) {
    double amax = 0;
    for (std::size_t i = 0; i < size; ++i) {
      amax = std::fmax(amax, std::fabs(value_at(outcome, "y", part * size + i)));
    }
    const double scale = value_at(outcome, "s", part);
    CHECK(scale == Approx(amax / 448.0).epsilon(1e-6));
    for (std::size_t i = 0; i < size; ++i) {
      // Half a step of e4m3: 2^-4 of the value, or of the least normal number.
      const double y = value_at(outcome, "y", part * size + i);
      const double back = value_at(outcome, "q", part * size + i) * scale;
      REQUIRE(std::fabs(back - y) <= std::fmax(std::fabs(y), scale * 0x1p-6) * (0x1p-4 + 1e-6));
    }
  }
}

TEST_CASE("y of a norm that quantises is rms_norm's") {
  QuantNorm of{.shape = {4, 1536}, .has_y = true};
  of.scaling = GENERATE("per_token", "per_tensor", "per_group");
  OpCase quantised = make_case(of);
  OpCase plain = quantised;
  plain.op = "norm.rms_norm";
  plain.params.clear();
  for (const char* name : {"q", "s", "scale"}) {
    drop_tensor(plain, name);
  }
  const Outcome with = require_good(quantised);
  const Outcome without = require_good(plain);
  int equal = 0;
  for (std::size_t i = 0; i < std::size_t{4} * 1536; ++i) {
    equal += value_at(with, "y", i) == value_at(without, "y", i) ? 1 : 0;
  }
  CHECK(equal > 4 * 1536 * 99 / 100);
}

TEST_CASE("the norms that quantise keep zeros, infinity and NaN to their rows") {
  QuantNorm of{.shape = {5, 640}};
  of.scaling = GENERATE("per_token", "per_tensor", "per_group");
  of.q = GENERATE(DType::fp8_e4m3, DType::i8);
  OpCase test = make_case(of);
  std::vector<double> values = samples(of.shape.count(), 9);
  tensor_of(test, "x").bytes = to_bytes(DType::bf16, values);
  const Outcome whole = require_good(test);
  std::fill_n(values.begin(), 640, 0.0);
  values[640 + 17] = std::nan("");
  values[2 * 640 + 5] = std::numeric_limits<double>::infinity();
  tensor_of(test, "x").bytes = to_bytes(DType::bf16, values);
  test.scalars = {{"eps", GENERATE(0.0, 1e-6)}};
  const Outcome outcome = require_good(test);
  CHECK(value_at(outcome, "q", 3) == 0.0);
  if (of.scaling != "per_tensor") {
    CHECK(value_at(outcome, "s", 0) > 0.0);
    CHECK(std::isfinite(value_at(outcome, "s", 1)));
  }
  const auto& q = bytes_of(outcome, "q");
  const std::byte nan = of.q == DType::i8 ? std::byte{0} : std::byte{0x7f};
  CHECK(std::all_of(q.begin() + 640, q.begin() + 1280, [&](std::byte b) { return b == nan; }));
  CHECK(q[2 * 640 + 5] == nan);
  if (test.scalars[0].second > 0) {
    CHECK(std::equal(q.begin() + 3 * 640, q.end(), bytes_of(whole, "q").begin() + 3 * 640));
  }
}

TEST_CASE("the norms that quantise are right without a weight, and with an offset to it") {
  QuantNorm of{.has_y = true};
  of.scaling = GENERATE("per_token", "per_group");
  OpCase test = make_case(of);
  SECTION("no weight") {
    drop_tensor(test, "weight");
  }
  SECTION("offset") {
    test.scalars.emplace_back("weight_offset", 1.0);
  }
  require_good(test);
}

TEST_CASE("the norms that quantise are right for large and tiny values") {
  QuantNorm of{.shape = {2, GENERATE(512, 5120)}, .x = DType::f32, .residual = DType::f32};
  of.scaling = GENERATE("per_token", "per_tensor", "per_group");
  of.adds = GENERATE(false, true);
  const double scale = GENERATE(1e-37, 1e-30, 1e-19, 1e-12, 1e15, 1e19, 1e30, 1e37);
  OpCase test = make_case(of);
  tensor_of(test, "x").bytes = to_bytes(DType::f32, samples(of.shape.count(), 3, scale));
  if (of.adds) {
    tensor_of(test, "residual").bytes = to_bytes(DType::f32, samples(of.shape.count(), 4, scale));
  }
  test.scalars = {{"eps", GENERATE(0.0, 1e-6)}};
  require_good(test);
}

TEST_CASE("the norms that quantise are right where rows of all magnitudes share a block") {
  QuantNorm of{.shape = {300, GENERATE(32, 192)}, .group = 32};
  of.scaling = GENERATE("per_token", "per_tensor", "per_group");
  std::vector<double> values = samples(of.shape.count(), 5);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] *=
        std::exp2(static_cast<double>(i / static_cast<std::size_t>(of.shape.width) % 6) * 45.0 - 110.0);
  }
  OpCase test = make_case(of);
  tensor_of(test, "x").bytes = to_bytes(DType::bf16, values);
  test.scalars = {{"eps", GENERATE(0.0, 1e-6)}};
  require_good(test);
}

TEST_CASE("a static scale of any value follows the formula in the norms that quantise") {
  const double infinity = std::numeric_limits<double>::infinity();
  QuantNorm of{.shape = {3, GENERATE(96, 1024)}, .scaling = "per_tensor", .weight = DType::f32};
  of.adds = GENERATE(false, true);
  of.q = GENERATE(DType::fp8_e4m3, DType::fp8_e5m2, DType::i8);
  of.has_y = true;
  const double scale = GENERATE_COPY(1e-45, 1e-40, 4e-39, 1.2e-38, 1e-20, 1e20, 3.4e38, 0.0, -0.0, -0.03,
                                     -1e-40, infinity, -infinity, std::numeric_limits<double>::quiet_NaN());
  OpCase test = make_case(of);
  tensor_of(test, "scale").bytes = to_bytes(DType::f32, {scale});
  // Weights bring a third of the elements near a subnormal scale, and make another third 0.
  std::vector<double> weights = samples(static_cast<std::size_t>(of.shape.width), 7);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] *= i % 3 == 0 ? 1e-36 : i % 3 == 1 ? 1.0 : 0.0;
  }
  tensor_of(test, "weight").bytes = to_bytes(DType::f32, weights);
  const Outcome outcome = require_good(test);
  if (!std::isnan(scale)) {
    CHECK(value_at(outcome, "q", 2) == 0.0);
  }
}

TEST_CASE("the check of the norms that quantise takes right results of f32 for wrong in none of many rows") {
  QuantNorm test{.shape = {300, 512}, .x = DType::f32, .has_y = true};
  test.residual = test.y = test.weight = DType::f32;
  test.adds = GENERATE(true, false);
  test.scaling = GENERATE("per_token", "per_group");
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(0, 16)));
  OpCase drawn = make_case(test);
  for (TensorCase& tensor : drawn.tensors) {
    if (tensor.name == "x" || tensor.name == "residual") {
      tensor.bytes = to_bytes(DType::f32, samples(test.shape.count(), 1000 + 2 * seed + tensor.name.size()));
    }
  }
  require_good(drawn);
}
