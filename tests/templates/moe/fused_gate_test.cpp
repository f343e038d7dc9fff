#include <kerncast/ops/moe/fused_gate.hpp>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <set>

#include "templates/moe/shared/router.hpp"
#include "templates/reference/host_float.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

struct Setting {
  std::int64_t rows = 5;
  std::int64_t experts = 256;
  int groups = 8;
  int topk_group = 4;
  std::int64_t top_k = 8;
  int shared = 0;
  bool renormalize = true;
  bool scaled = false;
  double factor = 2.5;
  DType logits = DType::f32;
  DType bias = DType::f32;
  std::vector<double> values = {};
  std::vector<double> biases = {};
};

OpCase make_case(const Setting& setting) {
  const auto count = static_cast<std::size_t>(setting.rows * setting.experts);
  const auto experts = static_cast<std::size_t>(setting.experts);
  OpCase made;
  made.op = "moe.fused_gate";
  made.params = {{"groups", std::to_string(setting.groups)},
                 {"topk_group", std::to_string(setting.topk_group)},
                 {"num_fused_shared_experts", std::to_string(setting.shared)},
                 {"renormalize", setting.renormalize ? "true" : "false"},
                 {"apply_scale_on_output", setting.scaled ? "true" : "false"}};
  made.scalars = {{"routed_scaling_factor", setting.factor}};
  made.tensors = {
      {.name = "logits",
       .dtype = setting.logits,
       .shape = {setting.rows, setting.experts},
       .bytes = to_bytes(setting.logits, setting.values.empty() ? samples(count, 31, 1.5) : setting.values)},
      {.name = "bias",
       .dtype = setting.bias,
       .shape = {setting.experts},
       .bytes = to_bytes(setting.bias, setting.biases.empty() ? samples(experts, 37, 0.1) : setting.biases)},
      {.name = "weights", .dtype = DType::f32, .shape = {setting.rows, setting.top_k}},
      {.name = "ids", .dtype = DType::i32, .shape = {setting.rows, setting.top_k}},
  };
  return made;
}

std::vector<double> values_of(const Outcome& outcome, const char* name) {
  const HostTensor& tensor = *outcome.input.tensor(name);
  std::vector<double> values;
  for (std::size_t i = 0; i < tensor.bytes.size(); i += 4) {
    values.push_back(reference::decode(tensor.dtype, tensor.bytes.data() + i));
  }
  return values;
}

}  // namespace

TEST_CASE("fused_gate is right for the models") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  // DeepSeek-V3, Kimi-K2, GLM-4.5: without and with the shared expert in the last slot.
  require_good(make_case({.logits = type}));
  require_good(make_case({.top_k = 9, .shared = 1, .logits = type}));
  require_good(make_case({.experts = 384, .groups = 1, .topk_group = 1, .factor = 2.827, .logits = type}));
  require_good(make_case({.experts = 384,
                          .groups = 1,
                          .topk_group = 1,
                          .top_k = 9,
                          .shared = 1,
                          .factor = 2.827,
                          .logits = type}));
  require_good(make_case({.experts = 160, .groups = 1, .topk_group = 1, .logits = type}));
}

TEST_CASE("fused_gate is right under every flag") {
  const bool renormalize = GENERATE(true, false);
  const bool scaled = GENERATE(true, false);
  const int shared = GENERATE(0, 1, 3);
  require_good(
      make_case({.top_k = 8 + shared, .shared = shared, .renormalize = renormalize, .scaled = scaled}));
}

TEST_CASE("fused_gate is right for any number of experts and groups") {
  struct Sizes {
    std::int64_t experts;
    int groups;
    int topk_group;
    std::int64_t top_k;
  };
  const Sizes sizes = GENERATE(
      Sizes{1, 1, 1, 1}, Sizes{2, 2, 1, 1}, Sizes{7, 1, 1, 7}, Sizes{8, 4, 2, 3}, Sizes{32, 1, 1, 32},
      Sizes{33, 3, 2, 5}, Sizes{60, 6, 3, 6}, Sizes{64, 8, 3, 6}, Sizes{64, 64, 8, 8}, Sizes{128, 16, 4, 8},
      Sizes{160, 8, 2, 6}, Sizes{160, 5, 5, 8}, Sizes{256, 32, 3, 8}, Sizes{384, 12, 5, 10},
      Sizes{512, 4, 1, 10}, Sizes{1000, 50, 7, 8}, Sizes{1024, 512, 40, 32}, Sizes{1024, 2, 1, 32});
  require_good(make_case({.experts = sizes.experts,
                          .groups = sizes.groups,
                          .topk_group = sizes.topk_group,
                          .top_k = sizes.top_k}));
}

TEST_CASE("fused_gate is right in every combination of types") {
  const DType logits = GENERATE(DType::f32, DType::bf16, DType::f16);
  const DType bias = GENERATE(DType::f32, DType::bf16, DType::f16);
  require_good(make_case({.logits = logits, .bias = bias}));
}

TEST_CASE("fused_gate breaks ties to the lower group and index") {
  const auto [experts, groups, topk_group] =
      GENERATE(table<std::int64_t, int, int>({{256, 8, 4}, {384, 1, 1}, {160, 8, 3}, {60, 6, 2}}));
  const auto count = static_cast<std::size_t>(experts);
  // If all are equal, the first of the first group wins.
  const Outcome equal = require_good(make_case({.rows = 1,
                                                .experts = experts,
                                                .groups = groups,
                                                .topk_group = topk_group,
                                                .values = std::vector<double>(count, 0.5),
                                                .biases = std::vector<double>(count, 0.25)}));
  CHECK(values_of(equal, "ids") == std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7});
  // Few distinct values, so that ties cross every border of lanes and groups.
  std::vector<double> values = samples(4 * count, 41);
  for (double& value : values) {
    value = std::round(value);
  }
  require_good(make_case({.rows = 4,
                          .experts = experts,
                          .groups = groups,
                          .topk_group = topk_group,
                          .values = values,
                          .biases = std::vector<double>(count, 0.0)}));
}

TEST_CASE("fused_gate survives NaN in the router") {
  const auto [experts, groups, topk_group] =
      GENERATE(table<std::int64_t, int, int>({{256, 8, 4}, {384, 1, 1}, {60, 6, 2}}));
  const auto count = static_cast<std::size_t>(experts);
  std::vector<double> values = samples(3 * count, 43);
  std::fill_n(values.begin(), count, std::nan(""));
  for (std::size_t i = 0; i < count; i += 2) {
    values[count + i] = std::nan("");
  }
  const Outcome outcome = require_good(make_case(
      {.rows = 3, .experts = experts, .groups = groups, .topk_group = topk_group, .values = values}));
  const std::vector<double> ids = values_of(outcome, "ids");
  const std::vector<double> weights = values_of(outcome, "weights");
  const std::set<double> distinct(ids.begin(), ids.begin() + 8);
  CHECK(distinct.size() == 8);
  CHECK(*distinct.begin() >= 0);
  CHECK(*distinct.rbegin() < static_cast<double>(experts));
  CHECK(std::isnan(weights[0]));
  for (std::size_t k = 0; k < 8; ++k) {
    // Half of the second row has no NaN, which suffices; the third row does not depend on the others.
    CHECK(static_cast<std::int64_t>(ids[8 + k]) % 2 == 1);
    CHECK(std::isfinite(weights[8 + k]));
    CHECK(std::isfinite(weights[16 + k]));
  }
}

TEST_CASE("fused_gate is right for extreme logits") {
  const double infinity = std::numeric_limits<double>::infinity();
  const bool renormalize = GENERATE(true, false);
  std::vector<double> values = samples(5 * 256, 47, 30.0);
  std::fill_n(values.begin(), 256, -infinity);
  std::fill_n(values.begin() + 256, 256, infinity);
  for (std::size_t i = 0; i < 256; ++i) {
    values[512 + i] = -95.0 + 0.01 * static_cast<double>(i % 97);
  }
  const Outcome outcome = require_good(make_case(
      {.rows = 5, .renormalize = renormalize, .values = values, .biases = std::vector<double>(256, 0.0)}));
  const std::vector<double> weights = values_of(outcome, "weights");
  CHECK(weights[0] == 0.0);
  CHECK(weights[8] == (renormalize ? 0.125 : 1.0));
}

TEST_CASE("fused_gate is right over strided rows, unaligned views and leading dimensions") {
  const DType type = GENERATE(DType::f32, DType::bf16);
  OpCase test = make_case({.rows = 4, .logits = type});
  test.tensors[0].strides = {261, 1};
  test.tensors[2].strides = {9, 1};
  test.tensors[3].strides = {12, 1};
  require_good(test);
  OpCase shifted = make_case({.rows = 4, .logits = type});
  shifted.tensors[0].offset = 1;
  shifted.tensors[1].offset = 2;
  require_good(shifted);
  OpCase folded = make_case({.rows = 4, .logits = type});
  folded.tensors[0].shape = {2, 2, 256};
  folded.tensors[2].shape = {2, 2, 8};
  folded.tensors[3].shape = {2, 2, 8};
  require_good(folded);
}

TEST_CASE("fused_gate chooses right among scores far from zero") {
  // sigmoid(x) is exp(x) here: a subnormal of f32 from -87 on, and 0 from -104 on.
  const double level = GENERATE(-20.0, -60.0, -86.0, -95.0, -100.0);
  std::vector<double> values = samples(4 * 256, 53, 1.2, level);
  // The last row has neighbouring floats, whose sigmoids differ by little more than the tolerance.
  for (std::size_t i = 0; i < 256; ++i) {
    values[3 * 256 + i] = level - static_cast<double>(i * 37 % 256) * std::exp2(std::ilogb(level) - 23);
  }
  const std::vector<double> biases(256, 0.0);
  require_good(make_case({.rows = 4, .values = values, .biases = biases}));
  require_good(make_case({.rows = 4, .groups = 1, .topk_group = 1, .values = values, .biases = biases}));
}

TEST_CASE("fused_gate is right with a bias that decides everything") {
  const DType type = GENERATE(DType::f32, DType::bf16);
  std::vector<double> biases = samples(256, 59, 40.0);
  require_good(make_case({.bias = type, .biases = biases}));
  // An expert masked by its bias is taken last.
  biases.assign(256, 0.0);
  std::fill_n(biases.begin() + 32, 128, -std::numeric_limits<double>::infinity());
  const Outcome outcome = require_good(make_case({.bias = type, .biases = biases}));
  for (const double id : values_of(outcome, "ids")) {
    CHECK((id < 32 || id >= 160));
  }
}

TEST_CASE("fused_gate survives infinity and NaN side by side in one row") {
  const bool renormalize = GENERATE(true, false);
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> values = samples(3 * 256, 61);
  for (std::size_t i = 0; i < 256; i += 3) {
    values[256 + i] = std::nan("");
    values[256 + i + 1 - (i == 255 ? 1 : 0)] = i % 2 == 0 ? infinity : -infinity;
  }
  // Eight slots have only two experts without NaN.
  std::fill_n(values.begin() + 512, 256, std::nan(""));
  values[512 + 70] = 0.5;
  values[512 + 200] = -0.5;
  const Outcome outcome = require_good(make_case({.rows = 3, .renormalize = renormalize, .values = values}));
  const std::vector<double> ids = values_of(outcome, "ids");
  for (std::size_t row = 0; row < 3; ++row) {
    const auto first = ids.begin() + static_cast<std::ptrdiff_t>(row * 8);
    CHECK(std::set<double>(first, first + 8).size() == 8);
  }
}

TEST_CASE("fused_gate is right for none to many rows") {
  const std::int64_t rows = GENERATE(0, 1, 3, 4, 129, 515);
  require_good(make_case({.rows = rows}));
}

TEST_CASE("fused_gate is right with up to 32 slots") {
  const int shared = GENERATE(0, 1, 8, 31);
  const bool scaled = GENERATE(true, false);
  require_good(make_case({.top_k = 32, .shared = shared, .scaled = scaled}));
  require_good(make_case(
      {.experts = 60, .groups = 1, .topk_group = 1, .top_k = 32, .shared = shared, .scaled = scaled}));
}

TEST_CASE("fused_gate is right at the edges of the types") {
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  const int shared = GENERATE(0, 1);
  const bool renormalize = GENERATE(true, false);
  Setting setting{.rows = 20, .experts = 64, .top_k = 8, .shared = shared, .renormalize = renormalize};
  setting.logits = type;
  setting.values = edge_samples(type, 20 * 64, 59);
  setting.biases = edge_samples(DType::f32, 64, 61);
  require_good(make_case(setting));
}

TEST_CASE("fused_gate orders groups whose scores no float holds") {
  const int experts = GENERATE(32, 8);
  const auto size = static_cast<std::size_t>(experts) / 4;
  std::vector<double> biases(static_cast<std::size_t>(experts), 0.0);
  const double scores[] = {2.0e38, 3.0e38, -3.0e38, -2.0e38};
  for (std::size_t i = 0; i < biases.size(); ++i) {
    biases[i] = scores[i / size];
  }
  const auto first_group = [&](const std::vector<double>& of) {
    Setting setting{.rows = 1, .experts = experts, .groups = 4, .topk_group = 1, .top_k = 1, .biases = of};
    return static_cast<std::size_t>(values_of(require_good(make_case(setting)), "ids")[0]) / size;
  };
  CHECK(first_group(biases) == 1);
  for (double& bias : biases) {
    bias = bias > 0 ? -3.4e38 : bias;
  }
  CHECK(first_group(biases) == 3);
}

TEST_CASE("fused_gate gives shared experts of a NaN row NaN, and of a row of -infinity 0") {
  const bool renormalize = GENERATE(true, false);
  const bool scaled = GENERATE(true, false);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> values = samples(3 * 32, 67);
  std::fill_n(values.begin(), 32, std::numeric_limits<double>::quiet_NaN());
  std::fill_n(values.begin() + 32, 32, -infinity);
  const Outcome outcome = require_good(make_case({.rows = 3,
                                                  .experts = 32,
                                                  .groups = 4,
                                                  .topk_group = 2,
                                                  .top_k = 5,
                                                  .shared = 1,
                                                  .renormalize = renormalize,
                                                  .scaled = scaled,
                                                  .values = values}));
  const std::vector<double> weights = values_of(outcome, "weights");
  CHECK(std::isnan(weights[0]));
  CHECK(std::isnan(weights[4]));
  CHECK(weights[5] == 0);
  CHECK(weights[9] == 0);
}

TEST_CASE("fused_gate takes no expert of a group that is not kept, even if all others are negative") {
  std::vector<double> biases(32, -5.0);
  std::fill_n(biases.begin() + 8, 8, -4.0);
  std::fill_n(biases.begin() + 12, 4, -300.0);
  const Outcome outcome = require_good(
      make_case({.rows = 2, .experts = 32, .groups = 4, .topk_group = 1, .top_k = 8, .biases = biases}));
  for (const double id : values_of(outcome, "ids")) {
    CHECK(id >= 8);
    CHECK(id < 16);
  }
}

namespace {

OpCase softplus_case(const Setting& setting) {
  OpCase made = make_case(setting);
  made.params.emplace_back("scoring", "sqrtsoftplus");
  return made;
}

void pad_rows_from(OpCase& test, std::int32_t count) {
  test.tensors.push_back({.name = "num_token_non_padded",
                          .dtype = DType::i32,
                          .shape = {1},
                          .bytes = to_bytes(DType::i32, {static_cast<double>(count)})});
}

}  // namespace

TEST_CASE("fused_gate with softplus scores is right for DeepSeek-V4, in every combination of types") {
  const DType logits = GENERATE(DType::f32, DType::bf16, DType::f16);
  const DType bias = GENERATE(DType::f32, DType::bf16);
  require_good(softplus_case({.groups = 1,
                              .topk_group = 1,
                              .top_k = 6,
                              .scaled = true,
                              .factor = 1.5,
                              .logits = logits,
                              .bias = bias}));
}

TEST_CASE("fused_gate with softplus scores is right under every flag, in groups of any size") {
  const bool renormalize = GENERATE(true, false);
  const bool scaled = GENERATE(true, false);
  const int shared = GENERATE(0, 1);
  const auto [experts, groups, topk_group] = GENERATE(
      table<std::int64_t, int, int>({{256, 8, 4}, {384, 1, 1}, {60, 6, 3}, {1000, 50, 7}, {7, 1, 1}}));
  require_good(softplus_case({.experts = experts,
                              .groups = groups,
                              .topk_group = topk_group,
                              .top_k = 5 + shared,
                              .shared = shared,
                              .renormalize = renormalize,
                              .scaled = scaled}));
}

TEST_CASE("fused_gate with softplus scores is right from far below zero to far above") {
  const DType type = GENERATE(DType::f32, DType::bf16);
  const bool renormalize = GENERATE(true, false);
  const double scale = GENERATE(1e-6, 1e-2, 1.0, 8.0, 40.0, 300.0, 1e6, 1e30);
  require_good(softplus_case({.rows = 3,
                              .groups = 1,
                              .topk_group = 1,
                              .renormalize = renormalize,
                              .logits = type,
                              .values = samples(3 * 256, 57, scale),
                              .biases = std::vector<double>(256, 0.0)}));
}

TEST_CASE("fused_gate with softplus scores weighs neighbouring logits right to the last place") {
  const double first = GENERATE(-700.0, -90.0, -17.5, -1.0, -1e-3, 0.0, 0.7, 19.5, 64.0, 1e5);
  std::vector<double> values(256);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = first + 0.03 * static_cast<double>(i % 97);
  }
  for (const bool renormalize : {true, false}) {
    require_good(softplus_case({.rows = 1,
                                .groups = 1,
                                .topk_group = 1,
                                .top_k = 32,
                                .renormalize = renormalize,
                                .values = values,
                                .biases = std::vector<double>(256, 0.0)}));
  }
}

TEST_CASE("fused_gate with softplus scores survives NaN and follows the formula at infinity") {
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> values = samples(4 * 256, 71);
  values[9] = std::nan("");
  values[256 + 5] = infinity;
  values[256 + 6] = infinity;
  values[256 + 8] = -infinity;
  std::fill_n(values.begin() + 2 * 256, 256, -infinity);
  std::fill_n(values.begin() + 3 * 256, 256, std::nan(""));
  const bool renormalize = GENERATE(true, false);
  const int shared = GENERATE(0, 1);
  const Outcome outcome = require_good(softplus_case({.rows = 4,
                                                      .groups = 1,
                                                      .topk_group = 1,
                                                      .top_k = 8 + shared,
                                                      .shared = shared,
                                                      .renormalize = renormalize,
                                                      .values = values}));
  const std::vector<double> weights = values_of(outcome, "weights");
  const std::size_t slots = std::size_t{8} + static_cast<std::size_t>(shared);
  CHECK(std::isfinite(weights[0]));
  CHECK((renormalize ? std::isnan(weights[slots]) : std::isinf(weights[slots])));
  CHECK((renormalize ? weights[slots + 3] == 0.0 : weights[slots + 3] > 0.0));
  CHECK(weights[2 * slots] == 0.0);
  CHECK(std::isnan(weights[3 * slots]));
}

TEST_CASE("fused_gate routes no row of padding") {
  const auto [count, routed] = GENERATE(
      table<std::int32_t, std::size_t>({{0, 0}, {1, 1}, {6, 6}, {7, 7}, {-3, 0}, {1000, 7}, {1 << 30, 7}}));
  const int shared = GENERATE(0, 1);
  const std::int64_t experts = GENERATE(128, 256);
  std::vector<double> values = samples(static_cast<std::size_t>(7 * experts), 77);
  // Padding may hold anything.
  std::fill(values.begin() + static_cast<std::ptrdiff_t>(routed * static_cast<std::size_t>(experts)),
            values.end(), std::nan(""));
  OpCase test =
      make_case({.rows = 7, .experts = experts, .top_k = 6 + shared, .shared = shared, .values = values});
  pad_rows_from(test, count);
  const Outcome outcome = require_good(test);
  const std::vector<double> ids = values_of(outcome, "ids");
  const std::vector<double> weights = values_of(outcome, "weights");
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool is_padding = i / static_cast<std::size_t>(6 + shared) >= routed;
    CHECK((ids[i] == -1.0) == is_padding);
    CHECK((weights[i] == 0.0) == is_padding);
  }
}
