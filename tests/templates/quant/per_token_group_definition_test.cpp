#include <catch2/catch.hpp>
#include <numeric>
#include <set>

#include <kerncast/ops/quant/per_token_group.hpp>
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;
using quant::ScaleFormat;
using quant::ScaleLayout;

namespace {

quant::PerTokenGroup good() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {6, 7168}),
          .q = TensorView::contiguous(memory, DType::fp8_e4m3, {6, 7168}),
          .s = TensorView::contiguous(memory, DType::f32, {6, 56})};
}

quant::PerTokenGroup packed() {
  quant::PerTokenGroup made = good();
  made.scale_layout = ScaleLayout::column_major_tma_aligned;
  made.scale_format = ScaleFormat::packed_ue8m0;
  made.s = TensorView::contiguous(memory, DType::i32, {6, 14});
  made.s.strides = {1, 8};
  return made;
}

}  // namespace

TEST_CASE("per_token_group derives its specialisation from the tensors") {
  const OpDefinition& op = definition_of<quant::PerTokenGroup>();
  CHECK(format_specialisation(op, bind(good()).spec) == "hidden=7168");
  CHECK(format_specialisation(op, bind(packed()).spec) ==
        "hidden=7168 scale_layout=column_major_tma_aligned scale_format=packed_ue8m0");
  quant::PerTokenGroup odd = good();
  odd.x.data = memory + 2;
  CHECK(param_of(odd, "alignment") == 2);
  odd = good();
  odd.q.data = memory + 2;
  CHECK(param_of(odd, "alignment") == 4);
  odd.q.data = memory + 8;
  CHECK(param_of(odd, "alignment") == 16);
}

TEST_CASE("per_token_group names what is wrong with a call") {
  quant::PerTokenGroup test = good();
  test.group = 100;
  CHECK_THAT(error_of(test),
             Contains("quant.per_token_group") && Contains("100") && Contains("nearest valid: 128"));
  test.group = 20;
  CHECK_THAT(error_of(test), Contains("nearest valid: 16"));
  test = good();
  test.x.shape[1] = test.q.shape[1] = 2880;
  CHECK_THAT(error_of(test), Contains("2880") && Contains("largest group that divides it is 64"));
  test.x.shape[1] = test.q.shape[1] = 100;
  CHECK_THAT(error_of(test), Contains("nearest valid: 128"));
  test = good();
  test.q.dtype = DType::bf16;
  CHECK_THAT(error_of(test), Contains("'q'") && Contains("fp8_e4m3"));
  test = good();
  test.s.dtype = DType::i32;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("f32"));
  test = good();
  test.s.shape[1] = 57;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("56"));
  test = good();
  test.scale_layout = ScaleLayout::column_major;
  CHECK_THAT(error_of(test), Contains("token stride of 1"));
  test = good();
  test.scale_format = ScaleFormat::packed_ue8m0;
  CHECK_THAT(error_of(test), Contains("column_major_tma_aligned"));
  test = packed();
  test.s.strides[1] = 6;
  CHECK_THAT(error_of(test), Contains("[1, 8]"));
  test = packed();
  test.s.data = memory + 4;
  CHECK_THAT(error_of(test), Contains("multiple of 16"));
  test = packed();
  test.s.dtype = DType::f32;
  CHECK_THAT(error_of(test), Contains("i32"));
  test = good();
  test.s.data = nullptr;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("null"));
  test = good();
  test.s.device = 2;
  CHECK_THAT(error_of(test), Contains("device 2"));
  test = good();
  test.s.strides[0] = 10;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("row_major"));
  test = good();
  test.x.dtype = DType::i32;
  CHECK_THAT(error_of(test), Contains("'x'") && Contains("i32"));
}

TEST_CASE("per_token_group covers every group with its grid") {
  const std::int64_t rows = GENERATE(1, 3, 500, 40000);
  const std::string hidden = GENERATE("128", "1536", "7168", "18432");
  const std::string group = GENERATE("16", "128");
  const std::string format = GENERATE("f32", "packed_ue8m0");
  const OpDefinition& op = definition_of<quant::PerTokenGroup>();
  const Specialisation spec = specialise(op, {{"hidden", hidden},
                                              {"group", group},
                                              {"scale_layout", "column_major_tma_aligned"},
                                              {"scale_format", format}});
  const Tunables tunables = op.default_tunables(spec, DeviceTraits{}, rows);
  check_choices(op, tunables);
  CHECK(op.default_tunables(spec, DeviceTraits{},
                            std::min<std::int64_t>(std::int64_t{1} << row_bucket(rows), 16384)) == tunables);
  const LaunchGeometry geometry = op.geometry(spec, tunables, DeviceTraits{}, rows);
  const std::int64_t elements_per_thread = 8 * tunable_of(op, tunables, "vectors");
  const std::int64_t covered = std::int64_t{geometry.grid[0]} * geometry.grid[1] * geometry.block[0];
  const std::int64_t padded = format == "f32" ? rows : (rows + 3) / 4 * 4;
  CHECK(covered * elements_per_thread >= padded * param_of(op, spec, "hidden"));
}

TEST_CASE("per_token_group spills a grid past 2^31 blocks where blocks and rows realign") {
  const OpDefinition& op = definition_of<quant::PerTokenGroup>();
  const Specialisation spec = specialise(op, {{"hidden", "7168"}});
  const Tunables tunables{{128, 1}};  // 8 groups per block, 56 per row: 7 blocks per row
  const std::int64_t rows = std::int64_t{1} << 30;
  const LaunchGeometry geometry = op.geometry(spec, tunables, DeviceTraits{}, rows);
  CHECK(geometry.grid[0] % 7 == 0);
  CHECK(geometry.grid[1] > 1);
  CHECK(std::int64_t{geometry.grid[0]} * geometry.grid[1] >= rows * 7);
}

TEST_CASE("per_token_group plans outputs in the layout asked for") {
  const OpDefinition& op = definition_of<quant::PerTokenGroup>();
  Bindings bindings;
  bindings.set_tensor("x", TensorView::contiguous(memory, DType::bf16, {2, 3, 1152}));
  bindings.set_param("scale_layout", "column_major_tma_aligned");
  bindings.set_param("scale_format", "packed_ue8m0");
  const std::vector<TensorPlan> plans = op.plan_outputs(bindings);
  REQUIRE(plans.size() == 2);
  CHECK(plans[0].name == "q");
  CHECK(plans[0].shape == std::vector<std::int64_t>{2, 3, 1152});
  CHECK(plans[1].dtype == DType::i32);
  CHECK(plans[1].shape == std::vector<std::int64_t>{6, 3});
  CHECK(plans[1].strides == std::vector<std::int64_t>{1, 8});
  CHECK(plans[1].storage_shape == std::vector<std::int64_t>{3, 8});
  Bindings rows;
  rows.set_tensor("x", TensorView::contiguous(memory, DType::bf16, {2, 3, 1152}));
  CHECK(op.plan_outputs(rows)[1].shape == std::vector<std::int64_t>{2, 3, 9});
}

TEST_CASE("per_token_group knows the models") {
  const OpDefinition& op = definition_of<quant::PerTokenGroup>();
  check_cases(op, deepseek_v3());
  CHECK(widths_of(op, deepseek_v3(), "hidden") ==
        std::set<std::string>{"7168", "1536", "512", "16384", "2048", "18432"});
  CHECK(widths_of(op, deepseek_v3(), "scale_format") == std::set<std::string>{"f32", "packed_ue8m0"});
  ModelConfig oss;
  oss.hidden = 2880;
  oss.linears = {{.place = "input", .width = 2880}, {.place = "o_proj", .width = 4096}};
  CHECK(widths_of(op, oss, "group") == std::set<std::string>{"64", "128"});
  CHECK(op.model_cases(oss).size() == 2);
}
