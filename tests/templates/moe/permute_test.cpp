#include <kerncast/ops/moe/permute.hpp>

#include <algorithm>
#include <catch2/catch.hpp>

#include <kerncast/ops/moe/unpermute.hpp>
#include "tests/templates/moe/expert_ids.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

struct Setting {
  std::int64_t rows = 16;
  std::int64_t top_k = 8;
  std::int64_t experts = 256;
  std::int64_t hidden = 256;
  DType type = DType::bf16;
  std::int64_t scales = 0;  ///< number of scales of a row
  DType scale_type = DType::f32;
  std::string placing = "direct";
  std::vector<double> ids = {};
};

std::vector<std::byte> random_bytes(std::int64_t count, std::uint64_t seed) {
  Samples source(seed);
  std::vector<std::byte> bytes(static_cast<std::size_t>(count));
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(source.bits() & 0xffU);
  }
  return bytes;
}

OpCase make_case(const Setting& setting) {
  const std::int64_t slots = setting.rows * setting.top_k;
  const std::int64_t workspace =
      std::max<std::int64_t>(moe::permute_workspace(slots, static_cast<int>(setting.experts)), 1024);
  OpCase made;
  made.op = "moe.permute";
  made.params = {{"experts", std::to_string(setting.experts)}, {"placing", setting.placing}};
  made.tensors = {
      {.name = "x",
       .dtype = setting.type,
       .shape = {setting.rows, setting.hidden},
       .bytes = random_bytes(setting.rows * setting.hidden * size_of(setting.type), 3)},
      {.name = "ids",
       .dtype = DType::i32,
       .shape = {setting.rows, setting.top_k},
       .bytes =
           to_bytes(DType::i32, setting.ids.empty() ? expert_ids(slots, setting.experts, 23) : setting.ids)},
      {.name = "y", .dtype = setting.type, .shape = {slots, setting.hidden}},
      {.name = "offsets", .dtype = DType::i32, .shape = {setting.experts + 1}},
      {.name = "map", .dtype = DType::i32, .shape = {setting.rows, setting.top_k}},
      {.name = "workspace", .dtype = DType::i32, .shape = {workspace}},
  };
  if (setting.scales > 0) {
    made.tensors.push_back(
        {.name = "scales",
         .dtype = setting.scale_type,
         .shape = {setting.rows, setting.scales},
         .bytes = random_bytes(setting.rows * setting.scales * size_of(setting.scale_type), 5)});
    made.tensors.push_back(
        {.name = "y_scales", .dtype = setting.scale_type, .shape = {slots, setting.scales}});
  }
  return made;
}

std::string any_placing() {
  return GENERATE(as<std::string>(), "direct", "whole", "split");
}

TensorCase& tensor(OpCase& test, const std::string& name) {
  return *std::find_if(test.tensors.begin(), test.tensors.end(),
                       [&](const TensorCase& item) { return item.name == name; });
}

}  // namespace

TEST_CASE("permute is right at the models' shapes") {
  struct Model {
    std::int64_t experts;
    std::int64_t top_k;
    std::int64_t hidden;
  };
  const Model model = GENERATE(Model{256, 8, 7168}, Model{384, 8, 7168}, Model{128, 8, 2048},
                               Model{128, 4, 2880}, Model{160, 8, 5120}, Model{8, 2, 4096});
  const std::string placing = any_placing();
  const std::int64_t rows = GENERATE(1, 17);
  require_good(make_case({.rows = rows,
                          .top_k = model.top_k,
                          .experts = model.experts,
                          .hidden = model.hidden,
                          .placing = placing}));
  require_good(make_case({.rows = rows,
                          .top_k = model.top_k,
                          .experts = model.experts,
                          .hidden = model.hidden,
                          .type = DType::fp8_e4m3,
                          .scales = model.hidden / 64,
                          .placing = placing}));
}

TEST_CASE("permute is right for every type") {
  const DType type = GENERATE(DType::f32, DType::f16, DType::bf16, DType::fp8_e4m3, DType::fp8_e5m2,
                              DType::ue8m0, DType::i8, DType::u8, DType::i32);
  require_good(make_case({.type = type, .scales = 5, .scale_type = type}));
}

TEST_CASE("permute is right for many tokens") {
  const std::int64_t rows = GENERATE(300, 513, 3000);
  const std::int64_t experts = GENERATE(8, 256, 1000);
  require_good(make_case({.rows = rows, .experts = experts, .hidden = 8}));
  require_good(make_case(
      {.rows = rows, .experts = experts, .hidden = 8, .ids = ids_with_strays(rows * 8, experts, 29)}));
}

TEST_CASE("permute is right for odd widths, slots and experts") {
  const std::string placing = any_placing();
  const std::int64_t top_k = GENERATE(1, 3, 64);
  const std::int64_t hidden = GENERATE(1, 7, 36, 2881);
  const std::int64_t experts = GENERATE(1, 33, 1024);
  require_good(make_case(
      {.rows = 2, .top_k = top_k, .experts = experts, .hidden = hidden, .scales = 1, .placing = placing}));
}

TEST_CASE("permute skips ids that name no expert and leaves the rows past the last alone") {
  const std::string placing = any_placing();
  const Outcome outcome = require_good(
      make_case({.rows = 16, .hidden = 64, .placing = placing, .ids = ids_with_strays(128, 256, 31)}));
  const HostTensor& y = *outcome.input.tensor("y");
  const auto used = static_cast<std::size_t>(integers_of(outcome, "offsets").back()) * 128;
  CHECK(used < y.bytes.size());
  CHECK(std::all_of(y.bytes.begin() + static_cast<std::ptrdiff_t>(used), y.bytes.end(),
                    [](std::byte byte) { return byte == std::byte{0xcd}; }));
  const Outcome none =
      require_good(make_case({.rows = 16, .placing = placing, .ids = std::vector<double>(128, -1.0)}));
  CHECK(integers_of(none, "offsets") == std::vector<std::int64_t>(257, 0));
  CHECK(integers_of(none, "map") == std::vector<std::int64_t>(128, -1));
}

TEST_CASE("permute of no tokens says that there are none") {
  const Outcome outcome = require_good(make_case({.rows = 0, .experts = 12, .placing = any_placing()}));
  CHECK(integers_of(outcome, "offsets") == std::vector<std::int64_t>(13, 0));
}

TEST_CASE("permute is right over strided rows, unaligned views and leading dimensions") {
  const std::string placing = any_placing();
  const std::int64_t gap = GENERATE(1, 2, 4, 8);
  OpCase test = make_case({.rows = 12, .hidden = 64, .scales = 4, .placing = placing});
  tensor(test, "x").strides = {64 + gap, 1};
  tensor(test, "x").offset = gap;
  tensor(test, "y").strides = {64 + 2 * gap, 1};
  tensor(test, "ids").strides = {9, 1};
  tensor(test, "map").strides = {8 + gap, 1};
  tensor(test, "scales").strides = {5, 1};
  require_good(test);
  OpCase folded = make_case({.rows = 12, .hidden = 64, .scales = 4, .placing = placing});
  for (const char* name : {"x", "ids", "map", "scales"}) {
    std::vector<std::int64_t>& shape = tensor(folded, name).shape;
    shape = {3, 4, shape[1]};
  }
  require_good(folded);
}

TEST_CASE("permute is right for column-major scales") {
  const std::string placing = any_placing();
  OpCase test = make_case({.rows = 10, .type = DType::fp8_e4m3, .scales = 7, .placing = placing});
  tensor(test, "scales").strides = {1, 12};
  tensor(test, "y_scales").strides = {1, 80};
  require_good(test);
  OpCase packed = make_case(
      {.rows = 10, .type = DType::fp8_e4m3, .scales = 3, .scale_type = DType::i32, .placing = placing});
  tensor(packed, "scales").strides = {1, 12};
  tensor(packed, "y_scales").strides = {1, 80};
  require_good(packed);
}

TEST_CASE("permute then unpermute with weights that add up to one is the identity") {
  const std::int64_t rows = GENERATE(7, 90, 600);
  constexpr std::int64_t hidden = 40;
  OpCase test = make_case({.rows = rows, .top_k = 4, .experts = 30, .hidden = hidden});
  const auto values = samples(static_cast<std::size_t>(rows * hidden), 7);
  tensor(test, "x").bytes = to_bytes(DType::bf16, values);
  const Outcome there = require_good(test);
  OpCase back;
  back.op = "moe.unpermute";
  back.tensors = {
      {.name = "x",
       .dtype = DType::bf16,
       .shape = {rows * 4, hidden},
       .bytes = there.input.tensor("y")->bytes},
      {.name = "map", .dtype = DType::i32, .shape = {rows, 4}, .bytes = there.input.tensor("map")->bytes},
      {.name = "weights",
       .dtype = DType::f32,
       .shape = {rows, 4},
       .bytes = to_bytes(DType::f32, std::vector<double>(static_cast<std::size_t>(rows * 4), 0.25))},
      {.name = "y", .dtype = DType::bf16, .shape = {rows, hidden}},
  };
  const Outcome again = require_good(back);
  CHECK(again.input.tensor("y")->bytes == tensor(test, "x").bytes);
}
