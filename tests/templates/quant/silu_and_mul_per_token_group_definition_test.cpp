#include <kerncast/ops/quant/silu_and_mul_per_token_group.hpp>

#include <catch2/catch.hpp>

#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;
using quant::ScaleFormat;
using quant::ScaleLayout;

namespace {

quant::SiluAndMulPerTokenGroup good() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {6, 4096}),
          .q = TensorView::contiguous(memory, DType::fp8_e4m3, {6, 2048}),
          .s = TensorView::contiguous(memory, DType::f32, {6, 16})};
}

quant::SiluAndMulPerTokenGroup masked() {
  quant::SiluAndMulPerTokenGroup made{.x = TensorView::contiguous(memory, DType::bf16, {4, 6, 4096}),
                                      .q = TensorView::contiguous(memory, DType::fp8_e4m3, {4, 6, 2048}),
                                      .s = TensorView::contiguous(memory, DType::i32, {4, 6, 4}),
                                      .masked_m = TensorView::contiguous(memory, DType::i32, {4}),
                                      .scale_layout = ScaleLayout::column_major_tma_aligned,
                                      .scale_format = ScaleFormat::packed_ue8m0};
  made.s.strides = {32, 1, 8};
  return made;
}

}  // namespace

TEST_CASE("silu_and_mul_per_token_group derives its specialisation from the tensors") {
  const OpDefinition& op = definition_of<quant::SiluAndMulPerTokenGroup>();
  CHECK(format_specialisation(op, bind(good()).spec) == "hidden=2048");
  CHECK(format_specialisation(op, bind(masked()).spec) ==
        "hidden=2048 scale_layout=column_major_tma_aligned scale_format=packed_ue8m0 experts=4");
}

TEST_CASE("silu_and_mul_per_token_group takes a limit") {
  const OpDefinition& op = definition_of<quant::SiluAndMulPerTokenGroup>();
  quant::SiluAndMulPerTokenGroup test = good();
  test.limit = 10.0F;
  CHECK(format_specialisation(op, bind(test).spec) == "hidden=2048 limit=true");
  test.limit = -1.0F;
  CHECK_THAT(error_of(test), Contains("limit is -1") && Contains("or 0 for none"));
}

TEST_CASE("silu_and_mul_per_token_group names what is wrong with a call") {
  quant::SiluAndMulPerTokenGroup test = good();
  test.x.shape[1] = 4095;
  CHECK_THAT(error_of(test), Contains("silu_and_mul_per_token_group") && Contains("must be even"));
  test = good();
  test.group = 48;
  CHECK_THAT(error_of(test), Contains("nearest valid: 32"));
  test = good();
  test.q.shape[1] = 4096;
  test.q.strides[0] = 4096;
  CHECK_THAT(error_of(test), Contains("'q'") && Contains("2048 columns"));
  test = good();
  test.s.shape[1] = 32;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("16"));
  test = good();
  test.q.dtype = DType::u8;
  CHECK_THAT(error_of(test), Contains("'q'") && Contains("fp8_e4m3"));
  test = masked();
  test.s.strides[0] = 20;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("from expert to expert"));
  test = masked();
  test.s.strides[0] = 33;
  CHECK_THAT(error_of(test), Contains("a multiple of 4"));
  test = masked();
  test.s.shape[0] = 3;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("[4, rows, scales]"));
  test = masked();
  test.masked_m.shape[0] = 3;
  CHECK_THAT(error_of(test), Contains("'masked_m'"));
}

TEST_CASE("silu_and_mul_per_token_group plans outputs in the layout asked for") {
  const OpDefinition& op = definition_of<quant::SiluAndMulPerTokenGroup>();
  Bindings bindings;
  bindings.set_tensor("x", TensorView::contiguous(memory, DType::bf16, {2, 3, 2304}));
  bindings.set_tensor("masked_m", TensorView::contiguous(memory, DType::i32, {2}));
  bindings.set_param("scale_layout", "column_major_tma_aligned");
  bindings.set_param("scale_format", "packed_ue8m0");
  const std::vector<TensorPlan> plans = op.plan_outputs(bindings);
  REQUIRE(plans.size() == 2);
  CHECK(plans[0].shape == std::vector<std::int64_t>{2, 3, 1152});
  CHECK(plans[1].shape == std::vector<std::int64_t>{2, 3, 3});
  CHECK(plans[1].strides == std::vector<std::int64_t>{12, 1, 4});
  CHECK(plans[1].storage_shape == std::vector<std::int64_t>{2, 3, 4});
}

TEST_CASE("silu_and_mul_per_token_group knows the models") {
  const OpDefinition& op = definition_of<quant::SiluAndMulPerTokenGroup>();
  ModelConfig model = deepseek_v3();
  check_cases(op, model);
  CHECK(widths_of(op, model, "hidden") == std::set<std::string>{"2048", "18432"});
  CHECK(widths_of(op, model, "experts") == std::set<std::string>{"32"});
  for (ModelMlp& mlp : model.mlps) {
    mlp.activation = "gelu";
  }
  CHECK(op.model_cases(model).empty());
}
