#include <catch2/catch.hpp>

#include <kerncast/ops/quant/mxfp4.hpp>
#include <kerncast/ops/quant/mxfp8.hpp>
#include <kerncast/ops/quant/nvfp4.hpp>
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;
using quant::SfLayout;

namespace {

quant::Nvfp4 good() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {6, 7168}),
          .global_scale = TensorView::contiguous(memory, DType::f32, {1}),
          .q = TensorView::contiguous(memory, DType::u8, {6, 3584}),
          .sf = TensorView::contiguous(memory, DType::fp8_e4m3, {6, 448})};
}

quant::Nvfp4 split() {
  quant::Nvfp4 made = good();
  made.sf_layout = SfLayout::swizzled;
  made.global_scale = TensorView::contiguous(memory, DType::f32, {4});
  made.sf = TensorView::contiguous(memory, DType::fp8_e4m3, {512, 448});
  made.expert_offsets = TensorView::contiguous(memory, DType::i32, {5});
  made.sf_offsets = TensorView::contiguous(memory, DType::i32, {5});
  return made;
}

quant::Mxfp8 mxfp8() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {6, 7168}),
          .q = TensorView::contiguous(memory, DType::fp8_e4m3, {6, 7168}),
          .sf = TensorView::contiguous(memory, DType::ue8m0, {6, 224})};
}

}  // namespace

TEST_CASE("block quantisation derives its specialisation from the tensors") {
  CHECK(format_specialisation(definition_of<quant::Nvfp4>(), bind(good()).spec) == "hidden=7168");
  CHECK(format_specialisation(definition_of<quant::Nvfp4>(), bind(split()).spec) ==
        "hidden=7168 sf_layout=swizzled experts=4");
  quant::Mxfp8 test = mxfp8();
  CHECK(format_specialisation(definition_of<quant::Mxfp8>(), bind(test).spec) == "hidden=7168");
  test.ocp_floor = true;
  test.q.dtype = DType::fp8_e5m2;
  CHECK(format_specialisation(definition_of<quant::Mxfp8>(), bind(test).spec) ==
        "hidden=7168 ocp_floor=true q_dtype=fp8_e5m2");
  test = mxfp8();
  test.q.data = memory + 4;
  CHECK(param_of(test, "alignment") == 8);
  quant::Nvfp4 odd = good();
  odd.q.data = memory + 1;
  CHECK(param_of(odd, "alignment") == 4);
}

TEST_CASE("block quantisation names what is wrong with a call") {
  quant::Nvfp4 test = good();
  test.x.shape[1] = 7160;
  CHECK_THAT(error_of(test), Contains("quant.nvfp4") && Contains("7160") && Contains("nearest valid: 7168"));
  test = good();
  test.q.dtype = DType::fp8_e4m3;
  CHECK_THAT(error_of(test), Contains("'q'") && Contains("u8"));
  test = good();
  test.q.shape[1] = 3583;
  CHECK_THAT(error_of(test), Contains("'q'") && Contains("3584 columns"));
  test = good();
  test.sf.dtype = DType::ue8m0;
  CHECK_THAT(error_of(test), Contains("'sf'") && Contains("fp8_e4m3"));
  test = good();
  test.sf_layout = SfLayout::swizzled;
  CHECK_THAT(error_of(test), Contains("'sf'") && Contains("[128, 448]"));
  test = good();
  test.global_scale = {};
  CHECK_THAT(error_of(test), Contains("'global_scale'") && Contains("missing"));
  test = split();
  test.global_scale.shape[0] = 1;
  CHECK_THAT(error_of(test), Contains("'global_scale'") && Contains("[4]") && Contains("expert_offsets"));
  test = split();
  test.sf_offsets = {};
  CHECK_THAT(error_of(test), Contains("'sf_offsets'") && Contains("missing"));
  test = good();
  test.sf_offsets = split().sf_offsets;
  CHECK_THAT(error_of(test), Contains("'sf_offsets'") && Contains("leave it out"));
  test = split();
  test.sf_layout = SfLayout::linear;
  test.sf = good().sf;
  CHECK_THAT(error_of(test), Contains("'sf_offsets'") && Contains("sf_layout = swizzled"));
  test = split();
  test.sf.shape[0] = 500;
  CHECK_THAT(error_of(test), Contains("'sf'") && Contains("multiple of 128"));
  test = split();
  test.expert_offsets.dtype = DType::i64;
  CHECK_THAT(error_of(test), Contains("'expert_offsets'") && Contains("i32"));
  quant::Mxfp8 mx = mxfp8();
  mx.x.shape[1] = mx.q.shape[1] = 7152;
  CHECK_THAT(message_of([&] { static_cast<void>(bind(mx)); }), Contains("multiple of 32"));
}

TEST_CASE("block quantisation covers every block with its grid") {
  const std::int64_t rows = GENERATE(1, 3, 500, 40000);
  const std::string hidden = GENERATE("160", "2880", "7168");
  const std::string layout = GENERATE("linear", "swizzled");
  const OpDefinition& op = definition_of<quant::Mxfp4>();
  const Specialisation spec = specialise(op, {{"hidden", hidden}, {"sf_layout", layout}});
  const Tunables tunables = op.default_tunables(spec, DeviceTraits{}, rows);
  check_choices(op, tunables);
  const LaunchGeometry made = op.geometry(spec, tunables, DeviceTraits{}, rows);
  const std::int64_t blocks = param_of(op, spec, "hidden") / 32;
  const std::int64_t wanted =
      layout == "linear" ? rows * blocks : (rows + 127) / 128 * 128 * ((blocks + 3) / 4 * 4);
  CHECK(std::int64_t{made.grid[0]} * made.grid[1] * made.block[0] / 4 * tunable_of(op, tunables, "vectors") >=
        wanted);
}

TEST_CASE("block quantisation plans its tensors and knows the models") {
  const OpDefinition& op = definition_of<quant::Nvfp4>();
  Bindings bindings;
  bindings.set_param("hidden", "96");
  bindings.set_param("sf_layout", "swizzled");
  CHECK(op.plan_inputs(bindings, 5).size() == 2);
  bindings.set_tensor("x", TensorView::contiguous(memory, DType::bf16, {5, 96}));
  const std::vector<TensorPlan> plans = op.plan_outputs(bindings);
  CHECK(plans.at(0).shape == std::vector<std::int64_t>{5, 48});
  CHECK(plans.at(1).shape == std::vector<std::int64_t>{128, 8});
  check_cases(op, deepseek_v3());
  check_cases(definition_of<quant::Mxfp8>(), deepseek_v3());
  CHECK(widths_of(definition_of<quant::Mxfp4>(), deepseek_v3(), "hidden") ==
        std::set<std::string>{"7168", "1536", "512", "16384", "2048", "18432"});
}
