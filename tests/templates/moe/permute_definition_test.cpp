#include <catch2/catch.hpp>

#include <kerncast/ops/moe/permute.hpp>
#include "templates/moe/shared/row_tiles.hpp"
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
namespace row_tiles = kerncast::moe::row_tiles;
using Catch::Contains;

namespace {

TensorView view(DType type, std::initializer_list<std::int64_t> shape) {
  return TensorView::contiguous(memory, type, shape);
}

moe::Permute good() {
  return {.x = view(DType::fp8_e4m3, {5, 256}),
          .ids = view(DType::i32, {5, 8}),
          .y = view(DType::fp8_e4m3, {40, 256}),
          .offsets = view(DType::i32, {61}),
          .map = view(DType::i32, {5, 8}),
          .scales = view(DType::f32, {5, 2}),
          .y_scales = view(DType::f32, {40, 2}),
          .workspace = {},
          .experts = 60};
}

}  // namespace

TEST_CASE("permute derives its specialisation from the tensors") {
  const OpDefinition& op = definition_of<moe::Permute>();
  CHECK(format_specialisation(op, bind(good()).spec) ==
        "x_dtype=fp8_e4m3 hidden=256 top_k=8 experts=60 has_scales=true");
  moe::Permute more = good();
  more.scales = more.y_scales = {};
  more.x = view(DType::fp8_e4m3, {40, 256});
  more.x.data = memory + 2;
  more.ids = view(DType::i32, {40, 8});
  more.map = view(DType::i32, {40, 8});
  more.y = view(DType::fp8_e4m3, {320, 256});
  CHECK(format_specialisation(op, bind(more).spec) ==
        "x_dtype=fp8_e4m3 hidden=256 top_k=8 experts=60 placing=whole alignment=2");
}

TEST_CASE("permute names what is wrong with a call") {
  moe::Permute test = good();
  test.x.dtype = DType::f64;
  CHECK_THAT(error_of(test), Contains("moe.permute") && Contains("'x'") && Contains("1, 2 or 4 bytes"));
  test = good();
  test.y.dtype = DType::u8;
  CHECK_THAT(error_of(test), Contains("'y'") && Contains("fp8_e4m3, as x"));
  test = good();
  test.y.shape[0] = 39;
  CHECK_THAT(error_of(test), Contains("'y'") && Contains("40 rows"));
  test = good();
  test.x.shape[0] = 4;
  CHECK_THAT(error_of(test), Contains("'x'") && Contains("5 rows"));
  test = good();
  test.offsets.shape[0] = 60;
  CHECK_THAT(error_of(test), Contains("'offsets'") && Contains("[61]"));
  test = good();
  test.map.shape[1] = 7;
  CHECK_THAT(error_of(test), Contains("'map'") && Contains("shape of ids"));
  test = good();
  test.ids.dtype = DType::i64;
  CHECK_THAT(error_of(test), Contains("'ids'") && Contains("i32"));
  test = good();
  test.scales.shape[0] = 6;
  CHECK_THAT(error_of(test), Contains("'scales'") && Contains("5 rows"));
  test = good();
  test.y_scales = {};
  CHECK_THAT(error_of(test), Contains("'y_scales'"));
  test = good();
  test.y_scales.shape[1] = 3;
  CHECK_THAT(error_of(test), Contains("'y_scales'") && Contains("last dimension of scales"));
  test = good();
  test.y.strides[0] = 128;
  CHECK_THAT(error_of(test), Contains("'y'") && Contains("overlap"));
  test = good();
  test.x.device = 1;
  CHECK_THAT(error_of(test), Contains("device 1"));
  test = good();
  test.map.data = memory + 2;
  CHECK_THAT(error_of(test), Contains("'map'") && Contains("align"));
  test = good();
  test.experts = 0;
  CHECK_THAT(error_of(test), Contains("experts is 0") && Contains("nearest valid: 1"));
}

TEST_CASE("permute refuses a workspace sized for fewer tokens") {
  moe::Permute test = good();
  test.scales = test.y_scales = {};
  test.x = view(DType::fp8_e4m3, {8192, 256});
  test.ids = test.map = view(DType::i32, {8192, 8});
  test.y = view(DType::fp8_e4m3, {65536, 256});
  CHECK_THAT(error_of(test), Contains("need a workspace") && Contains("960 elements"));
  CHECK(moe::permute_workspace(65536, 60) == 960);
  test.workspace = view(DType::i32, {959});
  CHECK_THAT(error_of(test), Contains("'workspace'") && Contains("[960]"));
}

TEST_CASE("permute launches what its placing asks for") {
  const OpDefinition& op = definition_of<moe::Permute>();
  for (const char* placing : {"direct", "whole", "split"}) {
    for (const char* hidden : {"64", "2880", "7168"}) {
      const Specialisation spec =
          specialise(op, {{"hidden", hidden}, {"top_k", "8"}, {"experts", "256"}, {"placing", placing}});
      for (const std::int64_t rows : {std::int64_t{1}, std::int64_t{16}, std::int64_t{512},
                                      std::int64_t{8192}, std::int64_t{1} << 27}) {
        const Tunables tunables = op.default_tunables(spec, DeviceTraits{}, rows);
        check_choices(op, tunables);
        const bool is_split = std::string(placing) == "split";
        const bool is_direct = std::string(placing) == "direct";
        const LaunchGeometry count = op.geometry(spec, tunables, DeviceTraits{}, rows);
        const LaunchGeometry place = op.later_stages.at(0).geometry(spec, tunables, DeviceTraits{}, rows);
        const LaunchGeometry copy = op.later_stages.at(1).geometry(spec, tunables, DeviceTraits{}, rows);
        CHECK((count.grid[0] > 0) == is_split);
        CHECK((place.grid[0] > 0) == !is_direct);
        CHECK(std::int64_t{copy.grid[0]} * copy.grid[1] * tunables[row_tiles::rows_per_block] >=
              rows * tunables[row_tiles::blocks_per_row]);
        CHECK(copy.grid[1] <= 65535);
      }
    }
  }
}

TEST_CASE("permute knows the models with experts") {
  check_cases(definition_of<moe::Permute>(), deepseek_v3());
  CHECK(definition_of<moe::Permute>().model_cases(deepseek_v3()).size() == 6);
  CHECK(widths_of(definition_of<moe::Permute>(), deepseek_v3(), "placing") ==
        std::set<std::string>{"direct", "split", "whole"});
  ModelConfig dense = deepseek_v3();
  dense.experts = 0;
  CHECK(definition_of<moe::Permute>().model_cases(dense).empty());
}
