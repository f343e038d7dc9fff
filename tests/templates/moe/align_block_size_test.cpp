#include <kerncast/ops/moe/align_block_size.hpp>

#include <algorithm>
#include <catch2/catch.hpp>

#include "templates/moe/align_block_size/spec_index.hpp"
#include "tests/templates/moe/expert_ids.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

struct Setting {
  std::int64_t rows = 16;
  std::int64_t top_k = 8;
  std::int64_t experts = 256;
  int block = 64;
  bool split = false;
  std::int64_t more = 0;  ///< blocks of `sorted` beyond those that suffice
  std::vector<double> ids = {};
  std::vector<double> expert_map = {};
};

OpCase make_case(const Setting& setting) {
  const std::int64_t slots = setting.rows * setting.top_k;
  const auto experts = static_cast<int>(setting.experts);
  const std::int64_t places =
      moe::align_block_size_places(slots, experts, setting.block) + setting.more * setting.block;
  OpCase made;
  made.op = "moe.align_block_size";
  made.params = {{"experts", std::to_string(setting.experts)},
                 {"block", std::to_string(setting.block)},
                 {"split", setting.split || slots > 4096 ? "true" : "false"}};
  made.tensors = {
      {.name = "ids",
       .dtype = DType::i32,
       .shape = {setting.rows, setting.top_k},
       .bytes =
           to_bytes(DType::i32, setting.ids.empty() ? expert_ids(slots, setting.experts, 23) : setting.ids)},
      {.name = "sorted", .dtype = DType::i32, .shape = {places}},
      {.name = "expert", .dtype = DType::i32, .shape = {places / setting.block}},
      {.name = "total", .dtype = DType::i32, .shape = {1}},
  };
  if (!setting.expert_map.empty()) {
    made.tensors.push_back({.name = "expert_map",
                            .dtype = DType::i32,
                            .shape = {static_cast<std::int64_t>(setting.expert_map.size())},
                            .bytes = to_bytes(DType::i32, setting.expert_map)});
  }
  if (setting.split || slots > 4096) {
    const std::int64_t size =
        std::max<std::int64_t>(moe::align_block_size_workspace(slots, experts), experts);
    made.tensors.push_back({.name = "workspace", .dtype = DType::i32, .shape = {size}});
  }
  return made;
}

}  // namespace

TEST_CASE("align_block_size is right at the models' shapes") {
  struct Model {
    std::int64_t experts;
    std::int64_t top_k;
  };
  const Model model = GENERATE(Model{256, 8}, Model{384, 8}, Model{128, 8}, Model{128, 4}, Model{160, 8},
                               Model{8, 2}, Model{257, 9});
  const bool split = GENERATE(false, true);
  const std::int64_t rows = GENERATE(1, 17, 256);
  require_good(make_case({.rows = rows, .top_k = model.top_k, .experts = model.experts, .split = split}));
}

TEST_CASE("align_block_size is right for many tokens") {
  const std::int64_t rows = GENERATE(513, 2000, 8192);
  const std::int64_t experts = GENERATE(8, 256);
  require_good(make_case({.rows = rows, .experts = experts}));
  require_good(make_case({.rows = rows, .experts = experts, .ids = ids_with_strays(rows * 8, experts, 29)}));
}

TEST_CASE("align_block_size is right in more blocks than a device has multiprocessors") {
  require_good(make_case({.rows = 70000, .experts = 60, .block = 16}));
}

TEST_CASE("align_block_size is right for any number of experts and any block") {
  const std::int64_t experts = GENERATE(1, 2, 31, 33, 60, 512, 897, 1024);
  const int block = GENERATE(1, 7, 16, 128, 1024);
  const bool split = GENERATE(false, true);
  require_good(make_case({.rows = 40, .top_k = 5, .experts = experts, .block = block, .split = split}));
}

TEST_CASE("align_block_size skips ids that name no expert") {
  const bool split = GENERATE(false, true);
  const std::int64_t rows = GENERATE(1, 33, 512);
  require_good(make_case({.rows = rows, .split = split, .ids = ids_with_strays(rows * 8, 256, 31)}));
  const Outcome none = require_good(make_case(
      {.rows = rows, .split = split, .ids = std::vector<double>(static_cast<std::size_t>(rows * 8), -1.0)}));
  CHECK(integers_of(none, "total") == std::vector<std::int64_t>{0});
}

TEST_CASE("align_block_size is right with all slots of one expert") {
  const bool split = GENERATE(false, true);
  const double expert = GENERATE(0.0, 100.0, 255.0);
  const Outcome outcome =
      require_good(make_case({.rows = 300, .split = split, .ids = std::vector<double>(2400, expert)}));
  CHECK(integers_of(outcome, "total") == std::vector<std::int64_t>{2432});
}

TEST_CASE("align_block_size is right through a map of experts") {
  const bool split = GENERATE(false, true);
  // The second of four ranks with 64 experts; some ids are past the end of the map, which has one expert too
  // many.
  std::vector<double> map(250, -1.0);
  for (std::size_t i = 64; i < 128; ++i) {
    map[i] = static_cast<double>(i - 64);
  }
  map[3] = 64.0;
  map[200] = 0.0;
  map[5] = -2147483648.0;
  map[6] = 2147483647.0;
  require_good(make_case({.rows = 200,
                          .experts = 64,
                          .split = split,
                          .ids = ids_with_strays(1600, 260, 37),
                          .expert_map = map}));
}

TEST_CASE("align_block_size of no tokens says that there are none") {
  OpCase test = make_case({.rows = 0, .experts = 12, .more = 3});
  const Outcome outcome = require_good(test);
  CHECK(integers_of(outcome, "total") == std::vector<std::int64_t>{0});
  CHECK(integers_of(outcome, "expert") == std::vector<std::int64_t>(3, -1));
}

TEST_CASE("align_block_size fills all of a larger output") {
  const bool split = GENERATE(false, true);
  require_good(make_case({.rows = 30, .split = split, .more = 50}));
}

TEST_CASE("align_block_size is right over strided rows and leading dimensions") {
  const bool split = GENERATE(false, true);
  OpCase test = make_case({.rows = 24, .split = split});
  test.tensors[0].strides = {11, 1};
  test.tensors[0].offset = 3;
  require_good(test);
  test.tensors[0].strides = {};
  test.tensors[0].shape = {2, 3, 4, 8};
  require_good(test);
}

TEST_CASE("align_block_size groups stably: a property of its output") {
  const std::int64_t rows = GENERATE(3, 100, 700);
  const std::vector<double> ids = ids_with_strays(rows * 8, 60, 41);
  const OpCase test = make_case({.rows = rows, .experts = 60, .block = 16, .ids = ids});
  const Outcome outcome = require_good(test);
  const std::vector<std::int64_t> sorted = integers_of(outcome, "sorted");
  const std::vector<std::int64_t> expert = integers_of(outcome, "expert");
  std::vector<bool> seen(ids.size(), false);
  std::int64_t last_expert = -1;
  std::int64_t last_slot = -1;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const std::int64_t e = expert[i / 16];
    const std::int64_t slot = sorted[i];
    if (e != last_expert) {
      CHECK((e == -1 || e > last_expert));
      last_slot = -1;
      last_expert = e;
    }
    if (slot == rows * 8) {
      continue;
    }
    REQUIRE(static_cast<double>(e) == ids[static_cast<std::size_t>(slot)]);
    REQUIRE(slot > last_slot);
    last_slot = slot;
    REQUIRE_FALSE(seen[static_cast<std::size_t>(slot)]);
    seen[static_cast<std::size_t>(slot)] = true;
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CHECK(seen[i] == (ids[i] >= 0 && ids[i] < 60));
  }
}
