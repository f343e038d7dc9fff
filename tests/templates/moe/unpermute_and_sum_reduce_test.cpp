#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include <kerncast/ops/moe/sum_reduce.hpp>
#include <kerncast/ops/moe/unpermute.hpp>
#include "templates/moe/shared/row_tiles.hpp"
#include "templates/reference/host_float.hpp"
#include "tests/templates/moe/expert_ids.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Setting {
  bool mapped = false;
  std::int64_t rows = 3;
  std::int64_t slots = 8;
  std::int64_t hidden = 256;
  bool weighted = true;
  bool added = false;
  DType x = DType::bf16;
  DType y = DType::bf16;
  double factor = 1.0;
  std::vector<double> values = {};
  std::vector<double> map = {};
};

/// A map that names every row of x once, out of order, except that it skips the first slot and some others.
std::vector<double> shuffled(std::size_t slots) {
  std::vector<double> map(slots);
  for (std::size_t i = 0; i < slots; ++i) {
    map[i] = static_cast<double>((i * 7919 + 5) % slots);
  }
  for (std::size_t i = 0; i < slots; i += 11) {
    map[i] = i % 2 == 0 ? -1.0 : static_cast<double>(slots);
  }
  return map;
}

OpCase make_case(const Setting& setting) {
  const auto slots = static_cast<std::size_t>(setting.rows * setting.slots);
  const auto hidden = static_cast<std::size_t>(setting.hidden);
  OpCase made;
  made.op = setting.mapped ? "moe.unpermute" : "moe.sum_reduce";
  made.scalars = {{"routed_scaling_factor", setting.factor}};
  std::vector<std::int64_t> shape = {setting.rows, setting.slots, setting.hidden};
  if (setting.mapped) {
    shape = {setting.rows * setting.slots, setting.hidden};
  }
  made.tensors = {
      {.name = "x",
       .dtype = setting.x,
       .shape = shape,
       .bytes = to_bytes(setting.x, setting.values.empty() ? samples(slots * hidden, 3) : setting.values)},
      {.name = "y", .dtype = setting.y, .shape = {setting.rows, setting.hidden}}};
  if (setting.mapped) {
    made.tensors.push_back(
        {.name = "map",
         .dtype = DType::i32,
         .shape = {setting.rows, setting.slots},
         .bytes = to_bytes(DType::i32, setting.map.empty() ? shuffled(slots) : setting.map)});
  }
  if (setting.weighted) {
    made.tensors.push_back({.name = "weights",
                            .dtype = DType::f32,
                            .shape = {setting.rows, setting.slots},
                            .bytes = to_bytes(DType::f32, samples(slots, 5, 0.3))});
  }
  if (setting.added) {
    made.tensors.push_back(
        {.name = "addend",
         .dtype = setting.y,
         .shape = {setting.rows, setting.hidden},
         .bytes = to_bytes(setting.y, samples(static_cast<std::size_t>(setting.rows) * hidden, 7))});
  }
  return made;
}

std::size_t index_of(const OpCase& test, const std::string& name) {
  for (std::size_t i = 0; i < test.tensors.size(); ++i) {
    if (test.tensors[i].name == name) {
      return i;
    }
  }
  FAIL("no tensor " << name);
  return 0;
}

}  // namespace

TEST_CASE("sums over slots are right at the models' shapes") {
  const bool mapped = GENERATE(false, true);
  const std::int64_t rows = GENERATE(1, 17);
  struct Model {
    std::int64_t hidden;
    std::int64_t slots;
  };
  for (const Model model : {Model{7168, 8}, Model{2048, 8}, Model{4096, 2}, Model{2880, 4}, Model{5120, 8}}) {
    require_good(make_case({.mapped = mapped,
                            .rows = rows,
                            .slots = model.slots,
                            .hidden = model.hidden,
                            .added = model.hidden == 7168,
                            .factor = 2.5}));
  }
}

TEST_CASE("sums over slots are right for every type and under every flag") {
  const bool mapped = GENERATE(false, true);
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f16, DType::f32);
  const bool weighted = GENERATE(true, false);
  const bool added = GENERATE(true, false);
  require_good(
      make_case({.mapped = mapped, .weighted = weighted, .added = added, .x = x, .y = y, .factor = -1.7}));
}

TEST_CASE("sums over any number of slots are right at odd widths") {
  const bool mapped = GENERATE(false, true);
  const std::int64_t slots = GENERATE(1, 3, 10, 64);
  const std::int64_t hidden = GENERATE(1, 7, 36, 2881);
  const std::int64_t rows = GENERATE(5, 600);
  if (hidden * slots * rows < 200000) {
    require_good(
        make_case({.mapped = mapped, .rows = rows, .slots = slots, .hidden = hidden, .added = true}));
  }
}

TEST_CASE("sums over slots are right for many rows") {
  const bool mapped = GENERATE(false, true);
  const std::int64_t rows = GENERATE(0, 265, 1001);
  require_good(make_case({.mapped = mapped, .rows = rows, .slots = 2, .hidden = 64}));
}

TEST_CASE("sums over slots keep the last place of f32 where terms cancel") {
  const bool mapped = GENERATE(false, true);
  std::vector<double> values = samples(6 * 16 * 64, 11, 100.0);
  for (std::size_t i = 0; i < values.size(); i += 2 * 64) {
    for (std::size_t j = 0; j < 64; ++j) {
      values[i + 64 + j] = -values[i + j] * (1.0 + 1e-6 * static_cast<double>(j));
    }
  }
  require_good(make_case({.mapped = mapped,
                          .rows = 6,
                          .slots = 16,
                          .hidden = 64,
                          .weighted = GENERATE(true, false),
                          .x = DType::f32,
                          .y = DType::f32,
                          .factor = 2.827,
                          .values = values}));
}

TEST_CASE("sums over slots pass infinity and NaN on, to their own elements alone") {
  const bool mapped = GENERATE(false, true);
  const DType type = GENERATE(DType::bf16, DType::f32);
  std::vector<double> values = samples(4 * 2 * 32, 13);
  values[3] = infinity;
  values[70] = std::nan("");
  values[101] = infinity;
  values[133] = -infinity;
  require_good(make_case({.mapped = mapped,
                          .rows = 4,
                          .slots = 2,
                          .hidden = 32,
                          .weighted = false,
                          .x = type,
                          .y = type,
                          .values = values,
                          .map = {0, 1, 2, 3, 4, 5, 6, 7}}));
}

TEST_CASE("unpermute reads nothing of skipped slots") {
  std::vector<double> values(8 * 64, std::nan(""));
  std::fill_n(values.begin() + 64, 64, 1.5);
  const Outcome outcome =
      require_good(make_case({.mapped = true,
                              .rows = 2,
                              .slots = 4,
                              .hidden = 64,
                              .weighted = false,
                              .values = values,
                              .map = {-1, 1, -2147483648.0, 8, -1, -7, 100000, 2147483647.0}}));
  const HostTensor& y = *outcome.input.tensor("y");
  CHECK(reference::decode(y.dtype, y.bytes.data()) == 1.5);
  CHECK(reference::decode(y.dtype, y.bytes.data() + 128) == 0.0);
}

TEST_CASE("sums over slots are right for strided and unaligned views") {
  const bool mapped = GENERATE(false, true);
  const std::int64_t gap = GENERATE(1, 2, 4, 8);
  OpCase test = make_case({.mapped = mapped, .hidden = 64, .added = true});
  const auto at = [&](const char* name) -> TensorCase& { return test.tensors[index_of(test, name)]; };
  at("x").strides = mapped ? std::vector<std::int64_t>{64 + gap, 1}
                           : std::vector<std::int64_t>{8 * (64 + gap) + gap, 64 + gap, 1};
  at("x").offset = gap;
  at("y").strides = {64 + 2 * gap, 1};
  at("weights").strides = {9, 1};
  at("weights").offset = 1;
  at("addend").strides = {64 + gap, 1};
  if (mapped) {
    at("map").strides = {11, 1};
  }
  require_good(test);
}

TEST_CASE("sums over slots are right with leading dimensions and into their addend") {
  const bool mapped = GENERATE(false, true);
  OpCase test = make_case({.mapped = mapped, .rows = 6, .hidden = 64, .added = true});
  for (TensorCase& tensor : test.tensors) {
    if (tensor.name != "x" || !mapped) {
      tensor.shape.erase(tensor.shape.begin());
      tensor.shape.insert(tensor.shape.begin(), {2, 3});
    }
  }
  require_good(test);
  test.tensors[index_of(test, "addend")].alias.clear();
  std::swap(test.tensors[index_of(test, "addend")], test.tensors[1]);
  test.tensors[index_of(test, "y")].alias = "addend";
  const Outcome outcome = run_case(test);
  INFO(outcome.verdict.detail);
  CHECK(outcome.verdict.ok);
}

TEST_CASE("a weighted sum is finite wherever its result is") {
  const bool mapped = GENERATE(true, false);
  const DType x = GENERATE(DType::bf16, DType::f16, DType::f32);
  const DType y = GENERATE(DType::bf16, DType::f32);
  const double factor = GENERATE(1.0, 0.125, 2.5, 1e-30, 1e30);
  const std::vector<double> values = edge_samples(x, 3 * 8 * 256, 43);
  require_good(
      make_case({.mapped = mapped, .added = true, .x = x, .y = y, .factor = factor, .values = values}));
}

TEST_CASE("a weighted sum may pass through numbers that no float holds") {
  const bool mapped = GENERATE(true, false);
  const DType y = GENERATE(DType::bf16, DType::f32);
  const auto first = [&](const std::vector<double>& values, double factor) {
    OpCase test = make_case({.mapped = mapped,
                             .rows = 1,
                             .slots = 4,
                             .hidden = 1,
                             .weighted = false,
                             .x = DType::f32,
                             .y = y,
                             .factor = factor,
                             .values = values,
                             .map = {0, 1, 2, 3}});
    const Outcome outcome = require_good(test);
    const HostTensor& out = *outcome.input.tensor("y");
    return reference::decode(out.dtype, out.bytes.data());
  };
  CHECK(first({3e38, 3e38, -3e38, 0}, 1.0) == Approx(3e38).epsilon(0.01));
  CHECK(first({3e38, 3e38, 3e38, 3e38}, 0.125) == Approx(1.5e38).epsilon(0.01));
  CHECK(first({1e-40, 1e-40, 0, 0}, 1e30) == Approx(2e-10).epsilon(0.01));
  CHECK(first({infinity, 1, 0, 0}, 1.0) == infinity);
  CHECK(std::isnan(first({infinity, -infinity, 0, 0}, 1.0)));
}

TEST_CASE("unpermute reads nothing for a map that names no row") {
  const double stray = GENERATE(-1.0, 24.0, -2147483648.0, 2147483647.0);
  std::vector<double> map = shuffled(24);
  for (std::size_t i = 0; i < map.size(); i += 3) {
    map[i] = stray;
  }
  require_good(make_case({.mapped = true, .rows = 3, .slots = 8, .map = map}));
}

TEST_CASE("sum_reduce skips slots whose id names no expert, as unpermute skips a map of -1") {
  const bool translated = GENERATE(false, true);
  const std::int64_t rows = GENERATE(1, 40);
  constexpr std::int64_t slots = 6;
  constexpr std::int64_t hidden = 72;
  constexpr std::int64_t experts = 8;
  const std::vector<double> ids = ids_with_strays(rows * slots, experts, 3);
  // Half of the experts are here, in reverse order; the map is shorter than some ids.
  const std::vector<double> expert_map = {-1, 3, -1, 2, -1, 1, -1};
  std::vector<double> map(ids.size(), -1.0);
  std::vector<double> values = samples(ids.size() * hidden, 9);
  std::size_t skipped = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool known = ids[i] >= 0 && ids[i] < static_cast<double>(experts);
    const bool here = translated ? known && ids[i] < 7 && static_cast<int>(ids[i]) % 2 == 1 : known;
    if (here) {
      map[i] = static_cast<double>(i);
    } else {
      ++skipped;
      std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(i * hidden), hidden, std::nan(""));
    }
  }
  REQUIRE(skipped > 1);
  const Setting setting{.rows = rows, .slots = slots, .hidden = hidden, .added = true, .values = values};
  OpCase test = make_case(setting);
  test.tensors.push_back({.name = "ids",
                          .dtype = DType::i32,
                          .shape = {rows, slots},
                          .strides = {slots + 3, 1},
                          .bytes = to_bytes(DType::i32, ids)});
  test.params = {{"experts", translated ? "4" : "8"}};
  if (translated) {
    test.tensors.push_back(
        {.name = "expert_map", .dtype = DType::i32, .shape = {7}, .bytes = to_bytes(DType::i32, expert_map)});
  }
  const Outcome outcome = require_good(test);
  Setting mapped = setting;
  mapped.mapped = true;
  mapped.map = map;
  CHECK(outcome.input.tensor("y")->bytes == require_good(make_case(mapped)).input.tensor("y")->bytes);
}
