#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <set>

#include <kerncast/ops/moe/topk_sigmoid.hpp>
#include <kerncast/ops/moe/topk_softmax.hpp>
#include "templates/moe/shared/router.hpp"
#include "templates/reference/host_float.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Setting {
  std::int64_t rows = 5;
  std::int64_t experts = 128;
  std::int64_t top_k = 8;
  bool biased = false;
  bool renormalize = true;
  double softcap = 0;
  DType logits = DType::f32;
  DType bias = DType::f32;
  std::vector<double> values = {};
  std::vector<double> biases = {};
};

OpCase make_case(const std::string& op, const Setting& setting) {
  const auto count = static_cast<std::size_t>(setting.rows * setting.experts);
  const auto experts = static_cast<std::size_t>(setting.experts);
  OpCase made;
  made.op = op;
  made.params = {{"renormalize", setting.renormalize ? "true" : "false"}};
  if (setting.softcap > 0) {
    made.scalars = {{"softcap", setting.softcap}};
  }
  made.tensors = {
      {.name = "logits",
       .dtype = setting.logits,
       .shape = {setting.rows, setting.experts},
       .bytes = to_bytes(setting.logits, setting.values.empty() ? samples(count, 31, 2.0) : setting.values)},
      {.name = "weights", .dtype = DType::f32, .shape = {setting.rows, setting.top_k}},
      {.name = "ids", .dtype = DType::i32, .shape = {setting.rows, setting.top_k}},
  };
  if (setting.biased || !setting.biases.empty()) {
    made.tensors.push_back({.name = "bias",
                            .dtype = setting.bias,
                            .shape = {setting.experts},
                            .bytes = to_bytes(setting.bias, setting.biases.empty() ? samples(experts, 37, 0.3)
                                                                                   : setting.biases)});
  }
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

const std::string softmax = "moe.topk_softmax";
const std::string sigmoid = "moe.topk_sigmoid";

std::string either() {
  return GENERATE(as<std::string>(), "moe.topk_softmax", "moe.topk_sigmoid");
}

void check_distinct(const std::vector<double>& ids, std::int64_t experts, std::size_t row,
                    std::size_t slots) {
  const auto first = ids.begin() + static_cast<std::ptrdiff_t>(row * slots);
  const std::set<double> distinct(first, first + static_cast<std::ptrdiff_t>(slots));
  CHECK(distinct.size() == slots);
  CHECK(*distinct.begin() >= 0);
  CHECK(*distinct.rbegin() < static_cast<double>(experts));
}

}  // namespace

TEST_CASE("topk gates are right for the models") {
  const std::string op = either();
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::int64_t rows = GENERATE(1, 17, 300);
  require_good(make_case(op, {.rows = rows, .experts = 8, .top_k = 2, .logits = type}));    // Mixtral
  require_good(make_case(op, {.rows = rows, .experts = 128, .top_k = 8, .logits = type}));  // Qwen3
  require_good(make_case(op, {.rows = rows, .experts = 128, .top_k = 4, .logits = type}));  // GPT-OSS
  require_good(make_case(op, {.rows = rows, .experts = 256, .top_k = 8, .biased = true, .logits = type}));
}

TEST_CASE("topk gates are right under every flag") {
  const bool renormalize = GENERATE(true, false);
  const bool biased = GENERATE(true, false);
  const double softcap = GENERATE(0.0, 0.25, 30.0, 1e6);
  for (const std::int64_t rows : {std::int64_t{3}, std::int64_t{200}}) {
    require_good(
        make_case(softmax, {.rows = rows, .biased = biased, .renormalize = renormalize, .softcap = softcap}));
    if (softcap == 0) {
      require_good(make_case(sigmoid, {.rows = rows, .biased = biased, .renormalize = renormalize}));
    }
  }
}

TEST_CASE("topk gates are right for any number of experts and slots") {
  const std::string op = either();
  const bool renormalize = GENERATE(true, false);
  const bool biased = GENERATE(true, false);
  const auto [experts, top_k] = GENERATE(table<std::int64_t, std::int64_t>({{1, 1},
                                                                            {2, 2},
                                                                            {7, 7},
                                                                            {31, 5},
                                                                            {32, 32},
                                                                            {33, 3},
                                                                            {60, 4},
                                                                            {160, 6},
                                                                            {384, 8},
                                                                            {512, 10},
                                                                            {1000, 32},
                                                                            {1024, 1}}));
  require_good(
      make_case(op, {.experts = experts, .top_k = top_k, .biased = biased, .renormalize = renormalize}));
}

TEST_CASE("topk gates are right in every combination of types") {
  const std::string op = either();
  const DType logits = GENERATE(DType::f32, DType::bf16, DType::f16);
  const DType bias = GENERATE(DType::f32, DType::bf16, DType::f16);
  require_good(make_case(op, {.biased = true, .logits = logits, .bias = bias}));
}

TEST_CASE("topk gates break ties to the lower index") {
  const std::string op = either();
  const std::int64_t experts = GENERATE(60, 128, 384);
  const bool biased = GENERATE(true, false);
  const auto count = static_cast<std::size_t>(experts);
  std::vector<double> values(count, -0.0);
  values[1] = values[3] = 0.0;
  const Outcome equal = require_good(make_case(op, {.rows = 1,
                                                    .experts = experts,
                                                    .values = values,
                                                    .biases = std::vector<double>(biased ? count : 0, 0.0)}));
  CHECK(values_of(equal, "ids") == std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(values_of(equal, "weights") == std::vector<double>(8, 0.125));
  std::vector<double> few = samples(4 * count, 41);
  for (double& value : few) {
    value = std::round(value);
  }
  require_good(make_case(op, {.rows = 4, .experts = experts, .biased = biased, .values = few}));
}

TEST_CASE("topk gates survive NaN in the router") {
  const std::string op = either();
  const bool renormalize = GENERATE(true, false);
  const bool biased = GENERATE(true, false);
  const std::int64_t experts = GENERATE(60, 128);
  const auto count = static_cast<std::size_t>(experts);
  std::vector<double> values = samples(4 * count, 43);
  std::fill_n(values.begin(), count, std::nan(""));
  for (std::size_t i = 0; i < count; i += 2) {
    values[count + i] = std::nan("");
  }
  std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(2 * count), count, std::nan(""));
  values[2 * count + 50] = -3.0;
  const Outcome outcome = require_good(make_case(
      op, {.rows = 4, .experts = experts, .biased = biased, .renormalize = renormalize, .values = values}));
  const std::vector<double> ids = values_of(outcome, "ids");
  const std::vector<double> weights = values_of(outcome, "weights");
  for (std::size_t row = 0; row < 4; ++row) {
    check_distinct(ids, experts, row, 8);
  }
  CHECK(std::isnan(weights[0]));
  CHECK(ids[16] == 50);
  for (std::size_t k = 0; k < 8; ++k) {
    CHECK(static_cast<std::int64_t>(ids[8 + k]) % 2 == 1);
    CHECK(std::isfinite(weights[24 + k]));
  }
}

TEST_CASE("topk gates are right for infinite and extreme logits") {
  const std::string op = either();
  const bool renormalize = GENERATE(true, false);
  const bool biased = GENERATE(true, false);
  std::vector<double> values = samples(6 * 128, 47, 60.0);
  std::fill_n(values.begin(), 128, -infinity);
  values[128 + 77] = infinity;
  values[2 * 128 + 5] = values[2 * 128 + 90] = infinity;
  // Eight slots have only three experts without NaN.
  std::fill_n(values.begin() + 3 * 128, 128, -infinity);
  values[3 * 128 + 3] = values[3 * 128 + 64] = 1.5;
  values[3 * 128 + 100] = -90.0;
  std::fill_n(values.begin() + 4 * 128, 128, -3.40282346638528859812e38);
  const Outcome outcome = require_good(
      make_case(op, {.rows = 6, .biased = biased, .renormalize = renormalize, .values = values}));
  const std::vector<double> ids = values_of(outcome, "ids");
  for (std::size_t row = 0; row < 6; ++row) {
    check_distinct(ids, 128, row, 8);
  }
  const std::vector<double> weights = values_of(outcome, "weights");
  if (op == softmax) {
    CHECK(ids[8] == 77);
    CHECK(std::isnan(weights[8]));
    CHECK(weights[3 * 8 + 5] == 0.0);
  }
}

TEST_CASE("topk gates are right with a bias that masks experts") {
  const std::string op = either();
  const bool renormalize = GENERATE(true, false);
  std::vector<double> biases(128, 0.0);
  std::fill_n(biases.begin() + 32, 64, -infinity);
  const Outcome outcome = require_good(make_case(op, {.renormalize = renormalize, .biases = biases}));
  for (const double id : values_of(outcome, "ids")) {
    CHECK((id < 32 || id >= 96));
  }
}

TEST_CASE("topk_softmax is right to the last place where logits are large and close") {
  const bool renormalize = GENERATE(true, false);
  const bool biased = GENERATE(true, false);
  const double softcap = GENERATE(0.0, 50.0);
  const double level = GENERATE(0.0, 40.0, 3000.0, -3000.0);
  std::vector<double> values = samples(40 * 64, 53, 0.8, level);
  std::vector<double> biases = biased ? samples(64, 59, 7.0) : std::vector<double>();
  require_good(make_case(softmax, {.rows = 40,
                                   .experts = 64,
                                   .renormalize = renormalize,
                                   .softcap = softcap,
                                   .values = values,
                                   .biases = biases}));
}

TEST_CASE("topk gates are right over strided rows, unaligned views and leading dimensions") {
  const std::string op = either();
  const DType type = GENERATE(DType::f32, DType::bf16);
  OpCase test = make_case(op, {.rows = 4, .biased = true, .logits = type});
  test.tensors[0].strides = {133, 1};
  test.tensors[1].strides = {9, 1};
  test.tensors[2].strides = {12, 1};
  require_good(test);
  OpCase shifted = make_case(op, {.rows = 4, .biased = true, .logits = type});
  shifted.tensors[0].offset = 1;
  shifted.tensors[3].offset = 3;
  require_good(shifted);
  OpCase folded = make_case(op, {.rows = 4, .logits = type});
  folded.tensors[0].shape = {2, 2, 128};
  folded.tensors[1].shape = {2, 2, 8};
  folded.tensors[2].shape = {2, 2, 8};
  require_good(folded);
}

TEST_CASE("topk gates route no row of padding") {
  const std::string op = either();
  const std::int32_t count = GENERATE(0, 1, 4, 5, -1, 99);
  OpCase test =
      make_case(op, {.rows = 5, .biased = GENERATE(false, true), .renormalize = GENERATE(false, true)});
  test.tensors.push_back({.name = "num_token_non_padded",
                          .dtype = DType::i32,
                          .shape = {1},
                          .bytes = to_bytes(DType::i32, {static_cast<double>(count)})});
  const std::vector<double> ids = values_of(require_good(test), "ids");
  const std::size_t routed = count < 0 ? 0 : std::min<std::size_t>(static_cast<std::size_t>(count), 5);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CHECK((ids[i] == -1.0) == (i / 8 >= routed));
  }
}

TEST_CASE("topk gates are right for none to many rows") {
  const std::string op = either();
  const std::int64_t rows = GENERATE(0, 1, 3, 4, 129, 515);
  require_good(make_case(op, {.rows = rows, .experts = 8, .top_k = 2}));
}

TEST_CASE("routers are right at the edges of the types") {
  const std::string op = either();
  const bool biased = GENERATE(true, false);
  const bool renormalize = GENERATE(true, false);
  const DType type = GENERATE(DType::bf16, DType::f16, DType::f32);
  Setting setting{.rows = 20, .experts = 60, .biased = biased, .renormalize = renormalize, .logits = type};
  setting.values = edge_samples(type, 20 * 60, 47);
  if (biased) {
    setting.biases = edge_samples(DType::f32, 60, 53);
  }
  require_good(make_case(op, setting));
}

TEST_CASE("topk_softmax orders sums of logit and bias that no float holds") {
  std::vector<double> values(4, 2e38);
  const Outcome outcome = require_good(make_case(
      softmax, {.rows = 1, .experts = 4, .top_k = 2, .values = values, .biases = {1e38, 3e38, 2e38, -3e38}}));
  CHECK(values_of(outcome, "ids") == std::vector<double>{1, 2});
  CHECK(values_of(outcome, "weights") == std::vector<double>{1, 0});
}

TEST_CASE(
    "topk_softmax orders by logits where probabilities vanish, topk_sigmoid by index where scores are 1") {
  const std::vector<double> low = {-300, -200, 0, -250};
  const Outcome first =
      require_good(make_case(softmax, {.rows = 1, .experts = 4, .top_k = 4, .values = low}));
  CHECK(values_of(first, "ids") == std::vector<double>{2, 1, 3, 0});
  CHECK(values_of(first, "weights") == std::vector<double>{1, 0, 0, 0});
  const std::vector<double> high = {20, 30, 1, 40};
  const Outcome second =
      require_good(make_case(sigmoid, {.rows = 1, .experts = 4, .top_k = 3, .values = high}));
  CHECK(values_of(second, "ids") == std::vector<double>{0, 1, 3});
}
