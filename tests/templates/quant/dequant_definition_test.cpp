#include <kerncast/ops/quant/dequant.hpp>

#include <catch2/catch.hpp>

#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;
using quant::DequantScheme;

namespace {

quant::Dequant good() {
  return {.q = TensorView::contiguous(memory, DType::fp8_e4m3, {6, 7168}),
          .s = TensorView::contiguous(memory, DType::f32, {6, 56}),
          .y = TensorView::contiguous(memory, DType::bf16, {6, 7168})};
}

quant::Dequant nvfp4() {
  return {.q = TensorView::contiguous(memory, DType::u8, {6, 3584}),
          .s = TensorView::contiguous(memory, DType::fp8_e4m3, {128, 448}),
          .y = TensorView::contiguous(memory, DType::bf16, {6, 7168}),
          .global_scale = TensorView::contiguous(memory, DType::f32, {1}),
          .scheme = DequantScheme::nvfp4,
          .sf_layout = quant::SfLayout::swizzled};
}

}  // namespace

TEST_CASE("dequant derives its specialisation from the tensors") {
  const OpDefinition& op = definition_of<quant::Dequant>();
  CHECK(format_specialisation(op, bind(good()).spec) == "hidden=7168");
  CHECK(format_specialisation(op, bind(nvfp4()).spec) ==
        "scheme=nvfp4 q_dtype=u8 hidden=7168 sf_layout=swizzled");
}

TEST_CASE("dequant names what is wrong with a call") {
  quant::Dequant test = good();
  test.q.dtype = DType::u8;
  CHECK_THAT(error_of(test), Contains("quant.dequant") && Contains("'q'") && Contains("fp8_e5m2 or i8"));
  test = good();
  test.group = 100;
  CHECK_THAT(error_of(test), Contains("nearest valid: 128"));
  test = good();
  test.s.shape[1] = 57;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("56"));
  test = good();
  test.scheme = DequantScheme::per_tensor;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("shape [1]"));
  test = good();
  test.scheme = DequantScheme::mxfp8;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("ue8m0"));
  test = good();
  test.y.dtype = DType::i8;
  CHECK_THAT(error_of(test), Contains("'y'"));
  test = nvfp4();
  test.q.dtype = DType::i8;
  CHECK_THAT(error_of(test), Contains("u8 (two e2m1 each)"));
  test = nvfp4();
  test.global_scale = {};
  CHECK_THAT(error_of(test), Contains("'global_scale'") && Contains("missing"));
  test = nvfp4();
  test.s.shape[0] = 6;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("[128, 448]"));
}

TEST_CASE("dequant covers every element with its grid") {
  const std::int64_t rows = GENERATE(1, 3, 500, 40000);
  const std::string scheme = GENERATE("per_token", "nvfp4");
  const std::string layout = GENERATE("linear", "swizzled");
  const OpDefinition& op = definition_of<quant::Dequant>();
  const Specialisation spec = specialise(op, {{"hidden", "2880"},
                                              {"scheme", scheme},
                                              {"q_dtype", scheme == "nvfp4" ? "u8" : "i8"},
                                              {"sf_layout", layout}});
  const Tunables tunables = op.default_tunables(spec, DeviceTraits{}, rows);
  check_choices(op, tunables);
  const LaunchGeometry made = op.geometry(spec, tunables, DeviceTraits{}, rows);
  CHECK(std::int64_t{made.grid[0]} * made.grid[1] * made.block[0] * tunable_of(op, tunables, "vectors") * 8 >=
        rows * 2880);
}

TEST_CASE("dequant plans its tensors and knows the models") {
  const OpDefinition& op = definition_of<quant::Dequant>();
  check_cases(op, deepseek_v3());
  Bindings bindings;
  bindings.set_param("hidden", "96");
  bindings.set_param("scheme", "mxfp4");
  CHECK(op.plan_inputs(bindings, 5).at(0).shape == std::vector<std::int64_t>{5, 48});
  bindings.set_tensor("q", TensorView::contiguous(memory, DType::u8, {5, 48}));
  CHECK(op.plan_outputs(bindings).at(0).shape == std::vector<std::int64_t>{5, 96});
}
