#include <kerncast/ops/moe/fused_gate.hpp>

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

TEST_CASE("fused_gate of the models") {
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

TEST_CASE("fused_gate under every flag") {
  const bool renormalize = GENERATE(true, false);
  const bool scaled = GENERATE(true, false);
  const int shared = GENERATE(0, 1, 3);
  require_good(
      make_case({.top_k = 8 + shared, .shared = shared, .renormalize = renormalize, .scaled = scaled}));
}

TEST_CASE("fused_gate for any number of experts and groups") {
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

TEST_CASE("fused_gate in every combination of types") {
  const DType logits = GENERATE(DType::f32, DType::bf16, DType::f16);
  const DType bias = GENERATE(DType::f32, DType::bf16, DType::f16);
  require_good(make_case({.logits = logits, .bias = bias}));
}

TEST_CASE("fused_gate breaks ties to the lower group and index") {
  const auto [experts, groups, topk_group] =
      GENERATE(table<std::int64_t, int, int>({{256, 8, 4}, {384, 1, 1}, {160, 8, 3}, {60, 6, 2}}));
  const auto count = static_cast<std::size_t>(experts);
  // All equal: the first of the first group.
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
    // Half of the second row is sound, which is enough; the third knows nothing of the others.
    CHECK(static_cast<std::int64_t>(ids[8 + k]) % 2 == 1);
    CHECK(std::isfinite(weights[8 + k]));
    CHECK(std::isfinite(weights[16 + k]));
  }
}

TEST_CASE("fused_gate of extreme logits") {
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

TEST_CASE("fused_gate over strided rows, unaligned views and leading dimensions") {
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
  // sigmoid(x) is exp(x) here and falls to subnormals of f32 at -87 and to nothing at -104.
  const double level = GENERATE(-20.0, -60.0, -86.0, -95.0, -100.0);
  std::vector<double> values = samples(4 * 256, 53, 1.2, level);
  // In the last row neighbours among the floats, whose sigmoids differ by little more than the tolerance.
  for (std::size_t i = 0; i < 256; ++i) {
    values[3 * 256 + i] = level - static_cast<double>(i * 37 % 256) * std::exp2(std::ilogb(level) - 23);
  }
  const std::vector<double> biases(256, 0.0);
  require_good(make_case({.rows = 4, .values = values, .biases = biases}));
  require_good(make_case({.rows = 4, .groups = 1, .topk_group = 1, .values = values, .biases = biases}));
}

TEST_CASE("fused_gate with a bias that decides everything") {
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
  // Two sound experts for eight slots.
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

TEST_CASE("fused_gate of none to many rows") {
  const std::int64_t rows = GENERATE(0, 1, 3, 4, 129, 515);
  require_good(make_case({.rows = rows}));
}

TEST_CASE("fused_gate with up to 32 slots") {
  const int shared = GENERATE(0, 1, 8, 31);
  const bool scaled = GENERATE(true, false);
  require_good(make_case({.top_k = 32, .shared = shared, .scaled = scaled}));
  require_good(make_case(
      {.experts = 60, .groups = 1, .topk_group = 1, .top_k = 32, .shared = shared, .scaled = scaled}));
}

TEST_CASE("fused_gate gives the same bits on every run") {
  const std::int64_t rows = GENERATE(5, 700);
  const OpCase test = make_case({.rows = rows, .top_k = 9, .shared = 1});
  const Outcome first = require_good(test);
  const Outcome second = require_good(test);
  CHECK(first.input.tensor("weights")->bytes == second.input.tensor("weights")->bytes);
  CHECK(first.input.tensor("ids")->bytes == second.input.tensor("ids")->bytes);
}

TEST_CASE("fused_gate with every choice of its tunables") {
  const OpDefinition& op = definition_of<moe::FusedGate>();
  for (const std::int32_t threads : op.tunables[moe::router::threads_per_row].choices) {
    for (const std::int32_t rows : op.tunables[moe::router::rows_per_block].choices) {
      static std::int32_t threads_per_row;
      static std::int32_t rows_per_block;
      threads_per_row = threads;
      rows_per_block = rows;
      OpDefinition tuned = op;
      tuned.name = "test.fused_gate_" + std::to_string(threads) + "_" + std::to_string(rows);
      tuned.default_tunables = [](const Specialisation&, const DeviceTraits&, std::int64_t) {
        Tunables made;
        made.values = {threads_per_row, rows_per_block};
        return made;
      };
      const OpDefinition& as = OpRegistry::instance().add(tuned);
      for (const std::int64_t experts : {60, 256, 384}) {
        OpCase test = make_case({.rows = 11, .experts = experts, .groups = 2, .topk_group = 1});
        test.launch = [&](Runtime& on, const Views& views) {
          on.dispatch(as,
                      bind(moe::FusedGate{.logits = views.at("logits"),
                                          .bias = views.at("bias"),
                                          .weights = views.at("weights"),
                                          .ids = views.at("ids"),
                                          .groups = 2,
                                          .topk_group = 1,
                                          .routed_scaling_factor = 2.5F}),
                      nullptr);
        };
        require_good(test);
      }
    }
  }
}

TEST_CASE("fused_gate in more than 65,535 blocks") {
  // 4 tokens to a block.
  const OpCase test =
      make_case({.rows = 65600 * 4 + 3, .experts = 6, .groups = 1, .topk_group = 1, .top_k = 2});
  const Outcome outcome = require_good(test);
  const OpDefinition& op = definition_of<moe::FusedGate>();
  const std::int64_t rows = test.tensors[0].shape[0];
  CHECK(op.geometry(outcome.input.spec, op.default_tunables(outcome.input.spec, {}, rows), {}, rows).grid[0] >
        65535);
}

TEST_CASE("fused_gate where rows lie more than 2^31 elements apart") {
  const int far = GENERATE(0, 1, 2);
  const auto stride = [&](int which, std::int64_t width) { return far == which ? huge_stride : width; };
  const SparseRows logits(DType::bf16, 3, 256, stride(0, 256), to_bytes(DType::bf16, samples(3 * 256, 67)));
  const SparseRows bias(DType::f32, 1, 256, 256, to_bytes(DType::f32, samples(256, 71, 0.1)));
  const SparseRows weights(DType::f32, 3, 8, stride(1, 8));
  const SparseRows ids(DType::i32, 3, 8, stride(2, 8));
  TensorView bias_view = bias.view();
  bias_view = TensorView::contiguous(bias_view.data, DType::f32, {256});
  const moe::FusedGate call{.logits = logits.view(),
                            .bias = bias_view,
                            .weights = weights.view(),
                            .ids = ids.view(),
                            .groups = 8,
                            .topk_group = 4};
  launch(runtime(), call, nullptr);
  synchronize();
  ReferenceInput input;
  input.spec = bind(call).spec;
  input.tensors = {logits.download("logits"), bias.download("bias"), weights.download("weights"),
                   ids.download("ids")};
  const ReferenceResult verdict = find_reference("moe.fused_gate")(input);
  INFO(verdict.detail);
  CHECK(verdict.ok);
}

TEST_CASE("fused_gate through the typed API and a prepared launch") {
  OpCase test = make_case({.top_k = 9, .shared = 1, .scaled = true});
  const auto arguments = [](const Views& views) {
    return moe::FusedGate{.logits = views.at("logits"),
                          .bias = views.at("bias"),
                          .weights = views.at("weights"),
                          .ids = views.at("ids"),
                          .groups = 8,
                          .topk_group = 4,
                          .num_fused_shared_experts = 1,
                          .apply_scale_on_output = true,
                          .routed_scaling_factor = 2.5F};
  };
  test.launch = [&](Runtime& on, const Views& views) { launch(on, arguments(views), nullptr); };
  require_good(test);
  test.launch = [&](Runtime& on, const Views& views) { prepare(on, arguments(views)).launch(nullptr); };
  require_good(test);
}

TEST_CASE("the reference of fused_gate rejects wrong elements") {
  const OpCase test = make_case({.top_k = 9, .shared = 1});
  const Outcome outcome = require_good(test);
  for (const std::size_t slot : {std::size_t{0}, std::size_t{7}, std::size_t{8}, std::size_t{44}}) {
    CHECK_FALSE(verdict_after_flip(test.op, outcome, "weights", slot * 4, 2).ok);
    CHECK_FALSE(verdict_after_flip(test.op, outcome, "ids", slot * 4, 0).ok);
    CHECK_FALSE(verdict_after_flip(test.op, outcome, "ids", slot * 4 + 3, 7).ok);
  }
  // A tie broken to the higher index.
  const OpCase ties = make_case({.rows = 1,
                                 .experts = 32,
                                 .groups = 1,
                                 .topk_group = 1,
                                 .top_k = 1,
                                 .values = std::vector<double>(32, 1.0),
                                 .biases = std::vector<double>(32, 0.0)});
  const Outcome tied = require_good(ties);
  CHECK_FALSE(verdict_after_flip(ties.op, tied, "ids", 0, 0).ok);
}
