#include <kerncast/ops/quant/dequant.hpp>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include <kerncast/ops/quant/mxfp4.hpp>
#include <kerncast/ops/quant/mxfp8.hpp>
#include <kerncast/ops/quant/nvfp4.hpp>
#include <kerncast/ops/quant/per_token_group.hpp>
#include "templates/reference/host_float.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

struct Setting {
  std::string scheme = "per_token_group";
  std::int64_t rows = 3;
  std::int64_t width = 512;
  DType q = DType::fp8_e4m3;
  DType y = DType::bf16;
  std::int64_t group = 128;
  std::string layout = "row_major";
  std::string format = "f32";
  std::string sf_layout = "linear";
};

bool is_fp4(const std::string& scheme) {
  return scheme == "nvfp4" || scheme == "mxfp4";
}

/// Random bytes, which give q and s every value, NaN and infinity included.
std::vector<std::byte> noise(std::size_t count, std::uint64_t seed) {
  Samples source(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(source.bits() >> 40U);
  }
  return bytes;
}

OpCase make_case(const Setting& setting) {
  const bool fp4 = is_fp4(setting.scheme);
  const std::int64_t block = setting.scheme == "nvfp4" ? 16 : 32;
  TensorCase q{.name = "q",
               .dtype = fp4 ? DType::u8 : setting.q,
               .shape = {setting.rows, fp4 ? setting.width / 2 : setting.width}};
  q.bytes = noise(static_cast<std::size_t>(setting.rows * q.shape[1]), 7);
  TensorCase s{.name = "s", .dtype = DType::f32, .shape = {1}};
  if (setting.scheme == "per_token") {
    s.shape = {setting.rows, 1};
  } else if (setting.scheme == "per_token_group") {
    const bool packed = setting.format == "packed_ue8m0";
    const std::int64_t groups = setting.width / setting.group;
    const std::int64_t columns = packed ? (groups + 3) / 4 : groups;
    s.dtype = packed ? DType::i32 : DType::f32;
    s.shape = {setting.rows, columns};
    if (setting.layout != "row_major") {
      s.strides = {1, setting.layout == "column_major" ? setting.rows : (setting.rows + 3) / 4 * 4};
      s.storage = columns * s.strides[1];
    }
  } else if (setting.scheme != "per_tensor") {
    s.dtype = setting.scheme == "nvfp4" ? DType::fp8_e4m3 : DType::ue8m0;
    const std::int64_t blocks = setting.width / block;
    s.shape = {setting.rows, blocks};
    if (setting.sf_layout == "swizzled") {
      s.shape = {(setting.rows + 127) / 128 * 128, (blocks + 3) / 4 * 4};
    }
  }
  const auto count = static_cast<std::size_t>(s.shape[0] * (s.shape.size() > 1 ? s.shape[1] : 1));
  s.bytes = s.dtype == DType::f32 ? to_bytes(DType::f32, samples(count, 9, 0.1))
                                  : noise(count * static_cast<std::size_t>(size_of(s.dtype)), 11);
  OpCase made;
  made.op = "quant.dequant";
  made.params = {{"scheme", setting.scheme},
                 {"group", setting.scheme == "per_token_group" ? std::to_string(setting.group) : "128"},
                 {"scale_layout", setting.layout},
                 {"scale_format", setting.format},
                 {"sf_layout", setting.sf_layout}};
  made.tensors = {q, s, {.name = "y", .dtype = setting.y, .shape = {setting.rows, setting.width}}};
  if (setting.scheme == "nvfp4") {
    made.tensors.push_back(
        {.name = "global_scale", .dtype = DType::f32, .shape = {1}, .bytes = to_bytes(DType::f32, {173.5})});
  }
  return made;
}

const std::vector<std::string> schemes = {"per_tensor", "per_token", "per_token_group",
                                          "nvfp4",      "mxfp4",     "mxfp8"};

/// Dequantises the results of `first` to f32; returns the elements of y.
std::vector<double> dequantised(const Outcome& first, const OpCase& how, const char* scales) {
  OpCase back = how;
  back.op = "quant.dequant";
  for (const auto& [from, to] : {std::pair<const char*, const char*>{"q", "q"}, {scales, "s"}}) {
    const HostTensor& tensor = *first.input.tensor(from);
    back.tensors.push_back({.name = to,
                            .dtype = tensor.dtype,
                            .shape = tensor.shape,
                            .strides = tensor.strides,
                            .bytes = tensor.bytes});
  }
  const Outcome outcome = require_good(back);
  const HostTensor& y = *outcome.input.tensor("y");
  std::vector<double> values(y.bytes.size() / 4);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = reference::decode(DType::f32, y.bytes.data() + 4 * i);
  }
  return values;
}

}  // namespace

TEST_CASE("dequant is right for every scheme to every type") {
  const std::string scheme = GENERATE(from_range(schemes));
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType q = GENERATE(DType::fp8_e4m3, DType::fp8_e5m2, DType::i8);
  const bool sensible = is_fp4(scheme) ? q == DType::fp8_e4m3 : scheme != "mxfp8" || q != DType::i8;
  if (sensible) {
    require_good(make_case({.scheme = scheme, .q = q, .y = y}));
  }
}

TEST_CASE("dequant is right for groups in every layout, format and size") {
  const auto [layout, format] =
      GENERATE(table<std::string, std::string>({{"row_major", "f32"},
                                                {"row_major", "ue8m0"},
                                                {"column_major", "f32"},
                                                {"column_major_tma_aligned", "f32"},
                                                {"column_major_tma_aligned", "packed_ue8m0"}}));
  const std::int64_t group = GENERATE(16, 64, 128);
  const std::int64_t rows = GENERATE(1, 7);
  require_good(make_case({.rows = rows, .width = 640, .group = group, .layout = layout, .format = format}));
}

TEST_CASE("dequant is right for blocks in both layouts") {
  const std::string scheme = GENERATE("nvfp4", "mxfp4", "mxfp8");
  const std::string layout = GENERATE("linear", "swizzled");
  const std::int64_t rows = GENERATE(1, 40, 129);
  const std::int64_t width = GENERATE(32, 160, 2880);
  require_good(make_case({.scheme = scheme, .rows = rows, .width = width, .sf_layout = layout}));
}

TEST_CASE("dequant is right at odd widths, and for no rows") {
  const std::string scheme = GENERATE("per_tensor", "per_token");
  const std::int64_t width = GENERATE(1, 2, 7, 33, 1001);
  const std::int64_t rows = GENERATE(0, 1, 5);
  require_good(make_case({.scheme = scheme, .rows = rows, .width = width}));
}

TEST_CASE("dequant is right for no rows and many") {
  const std::string scheme = GENERATE(from_range(schemes));
  require_good(make_case({.scheme = scheme, .rows = 0}));
  require_good(make_case({.scheme = scheme, .rows = 300, .width = 1536}));
}

TEST_CASE("dequant is right over strided rows and unaligned views") {
  const std::string scheme = GENERATE(from_range(schemes));
  const std::int64_t pad = GENERATE(0, 8, 3);
  OpCase test = make_case({.scheme = scheme});
  test.tensors[0].strides = {test.tensors[0].shape[1] + pad, 1};
  test.tensors[2].strides = {512 + pad, 1};
  require_good(test);
  test.tensors[0].offset = 1;
  require_good(test);
  test.tensors[0].offset = 0;
  test.tensors[2].offset = 1;
  require_good(test);
}

TEST_CASE("dequant is right over leading dimensions") {
  OpCase test = make_case({.rows = 6});
  for (TensorCase& tensor : test.tensors) {
    tensor.shape = {2, 3, tensor.shape[1]};
  }
  require_good(test);
}

TEST_CASE("quantising and dequantising by groups errs by half a step at most") {
  constexpr std::int64_t width = 640;
  const auto [layout, format] = GENERATE(table<std::string, std::string>(
      {{"row_major", "f32"}, {"column_major", "ue8m0"}, {"row_major", "ue8m0"}}));
  const std::vector<double> values = samples(6 * width, 51);
  OpCase there;
  there.op = "quant.per_token_group";
  there.params = {{"scale_layout", layout}, {"scale_format", format}};
  TensorCase s{.name = "s", .dtype = DType::f32, .shape = {6, 5}};
  if (layout == "column_major") {
    s.strides = {1, 6};
  }
  there.tensors = {
      {.name = "x", .dtype = DType::f32, .shape = {6, width}, .bytes = to_bytes(DType::f32, values)},
      {.name = "q", .dtype = DType::i8, .shape = {6, width}},
      s};
  const Outcome quantised = require_good(there);
  OpCase back;
  back.params = {{"scheme", "per_token_group"}, {"scale_layout", layout}, {"scale_format", format}};
  back.tensors = {{.name = "y", .dtype = DType::f32, .shape = {6, width}}};
  const HostTensor& scales = *quantised.input.tensor("s");
  OpCase call = back;
  call.op = "quant.dequant";
  const HostTensor& q = *quantised.input.tensor("q");
  TensorCase given = s;
  // TensorCase::bytes has the elements in logical order.
  for (std::size_t row = 0; row < 6; ++row) {
    for (std::size_t group = 0; group < 5; ++group) {
      const std::size_t at = layout == "column_major" ? group * 6 + row : row * 5 + group;
      given.bytes.insert(given.bytes.end(), scales.bytes.begin() + static_cast<std::ptrdiff_t>(4 * at),
                         scales.bytes.begin() + static_cast<std::ptrdiff_t>(4 * at + 4));
    }
  }
  call.tensors.push_back({.name = "q", .dtype = DType::i8, .shape = {6, width}, .bytes = q.bytes});
  call.tensors.push_back(given);
  const Outcome outcome = require_good(call);
  const HostTensor& y = *outcome.input.tensor("y");
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t row = i / width;
    const std::size_t group = i % width / 128;
    const std::size_t at = row * 5 + group;
    const double step = reference::decode(DType::f32, given.bytes.data() + 4 * at);
    const double got = reference::decode(DType::f32, y.bytes.data() + 4 * i);
    CHECK(std::fabs(got - values[i]) <= 0.5001 * step);
  }
}

TEST_CASE("quantising and dequantising by blocks errs by half a step at most") {
  const std::string kind = GENERATE("nvfp4", "mxfp4", "mxfp8");
  const std::string layout = GENERATE("linear", "swizzled");
  constexpr std::int64_t width = 192;
  constexpr std::int64_t rows = 70;
  const bool fp4 = kind != "mxfp8";
  const bool nvfp4 = kind == "nvfp4";
  const std::int64_t blocks = width / (nvfp4 ? 16 : 32);
  const std::vector<double> values = samples(rows * width, 53);
  const TensorCase global{
      .name = "global_scale", .dtype = DType::f32, .shape = {1}, .bytes = to_bytes(DType::f32, {100.0})};
  OpCase there;
  there.op = "quant." + kind;
  there.params = {{"sf_layout", layout}};
  TensorCase sf{.name = "sf", .dtype = nvfp4 ? DType::fp8_e4m3 : DType::ue8m0, .shape = {rows, blocks}};
  if (layout == "swizzled") {
    sf.shape = {128, (blocks + 3) / 4 * 4};
  }
  there.tensors = {
      {.name = "x", .dtype = DType::f32, .shape = {rows, width}, .bytes = to_bytes(DType::f32, values)},
      {.name = "q", .dtype = fp4 ? DType::u8 : DType::fp8_e4m3, .shape = {rows, fp4 ? width / 2 : width}},
      sf};
  OpCase back;
  back.params = {{"scheme", kind}, {"sf_layout", layout}};
  back.tensors = {{.name = "y", .dtype = DType::f32, .shape = {rows, width}}};
  if (nvfp4) {
    there.tensors.push_back(global);
    back.tensors.push_back(global);
  }
  const std::vector<double> got = dequantised(require_good(there), back, "sf");
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t block = nvfp4 ? 16 : 32;
    double amax = 0;
    for (std::size_t j = i / block * block; j < (i / block + 1) * block; ++j) {
      amax = std::fmax(amax, std::fabs(values[j]));
    }
    // The scale is at most twice amax / MAX (nvfp4: a 16th more); half of the widest step is 1 of 6 and 16 of
    // 448.
    const double scale = amax / (fp4 ? 6.0 : 448.0) * (nvfp4 ? 17.0 / 16.0 : 2.0);
    CHECK(std::fabs(got[i] - values[i]) <= scale * (fp4 ? 1.001 : 16.001));
  }
}

TEST_CASE("the reference of dequant rejects wrong elements") {
  const OpCase test = make_case({.scheme = "mxfp8", .y = DType::f32});
  const Outcome outcome = require_good(test);
  int rejected = 0;
  for (std::size_t element = 0; element < 1536; element += 5) {
    rejected += verdict_after_flip(test.op, outcome, "y", 4 * element, 2).ok ? 0 : 1;
  }
  // A flipped bit in the payload of a NaN, or in an infinity or a subnormal, may pass.
  CHECK(rejected > 250);
}

TEST_CASE("dequant of nvfp4 is right under every global scale that there is") {
  const double scale =
      GENERATE(1e-45, 1e-42, 1.2e-38, 1e-20, 1e20, 3.4e38, -3.0, 0.0, std::numeric_limits<double>::infinity(),
               std::numeric_limits<double>::quiet_NaN());
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  OpCase test = make_case({.scheme = "nvfp4", .y = y});
  test.tensors.back().bytes = to_bytes(DType::f32, {scale});
  require_good(test);
}

TEST_CASE("dequant is right under scales at the edges of f32") {
  const std::string scheme = GENERATE("per_tensor", "per_token", "per_token_group");
  const DType y = GENERATE(DType::bf16, DType::f32);
  OpCase test = make_case({.scheme = scheme, .rows = 16, .y = y});
  TensorCase& s = test.tensors[1];
  std::vector<double> values = edge_samples(DType::f32, s.bytes.size() / 4, 91);
  values[0] = -1e-40;
  s.bytes = to_bytes(DType::f32, values);
  require_good(test);
}
