#include <catch2/catch.hpp>
#include <set>

#include <kerncast/ops/norm/layer_norm.hpp>
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;

namespace {

norm::LayerNorm good() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {4, 5120}),
          .weight = TensorView::contiguous(memory, DType::bf16, {5120}),
          .bias = TensorView::contiguous(memory, DType::bf16, {5120}),
          .y = TensorView::contiguous(memory, DType::bf16, {4, 5120})};
}

}  // namespace

TEST_CASE("layer_norm derives its specialisation from the tensors") {
  CHECK(spec_of(good()) == "hidden=5120");
  norm::LayerNorm test = good();
  test.weight = {};
  test.bias.dtype = DType::f32;
  CHECK(spec_of(test) == "hidden=5120 weight_dtype=f32 has_weight=false");
  test.bias = {};
  CHECK(spec_of(test) == "hidden=5120 has_weight=false has_bias=false");
  test = good();
  test.bias.data = memory + 4;
  CHECK(spec_of(test) == "hidden=5120 alignment=4");
  test = good();
  test.y.dtype = DType::f32;
  CHECK(spec_of(test) == "y_dtype=f32 hidden=5120 alignment=8");
}

TEST_CASE("norms refuse an alignment that a tensor of wider elements does not allow") {
  const auto refusal = [](const char* name, const char* wide) -> std::string {
    const OpDefinition& op = OpRegistry::instance().require(name);
    try {
      static_cast<void>(specialise(op, {{"hidden", "512"}, {wide, "f32"}, {"alignment", "16"}}));
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  for (const char* op :
       {"norm.layer_norm", "norm.scale_shift", "norm.gate_residual_scale_shift", "norm.gated_rms_norm",
        "norm.fused_add_rms_norm", "norm.rms_norm_quant", "norm.fused_add_rms_norm_quant"}) {
    INFO(op);
    CHECK_THAT(refusal(op, "y_dtype"), Contains("alignment = 16") && Contains("set alignment to 8"));
  }
  for (const char* op :
       {"norm.gate_residual_scale_shift", "norm.fused_add_rms_norm", "norm.fused_add_rms_norm_quant"}) {
    INFO(op);
    CHECK_THAT(refusal(op, "residual_dtype"), Contains("alignment = 16") && Contains("set alignment to 8"));
  }
  CHECK_THAT(refusal("norm.gated_rms_norm", "z_dtype"),
             Contains("alignment = 16") && Contains("set alignment to 8"));
  CHECK(refusal("norm.rms_norm", "y_dtype").empty());
}

TEST_CASE("layer_norm names what is wrong with a call") {
  norm::LayerNorm test = good();
  test.x.dtype = DType::fp8_e4m3;
  CHECK_THAT(error_of(test), Contains("norm.layer_norm") && Contains("'x'") && Contains("fp8_e4m3"));
  test = good();
  test.bias.dtype = DType::f32;
  CHECK_THAT(error_of(test), Contains("'bias'") && Contains("weight's bf16"));
  test = good();
  test.bias.shape[0] = 5;
  CHECK_THAT(error_of(test), Contains("'bias'") && Contains("[5120]"));
  test = good();
  test.bias.device = 1;
  CHECK_THAT(error_of(test), Contains("'bias'") && Contains("device 1"));
  test = good();
  test.y.shape[0] = 3;
  CHECK_THAT(error_of(test), Contains("'y'") && Contains("[4, 5120]"));
  test = good();
  test.y.data = nullptr;
  CHECK_THAT(error_of(test), Contains("'y'") && Contains("null"));
  test = good();
  test.eps = -1.0F;
  CHECK_THAT(error_of(test), Contains("eps is -1"));
}

TEST_CASE("layer_norm knows the models") {
  const OpDefinition& op = definition_of<norm::LayerNorm>();
  CHECK(op.model_cases(deepseek_v3()).empty());
  ModelConfig wan;
  wan.name = "wan2.2-a14b";
  wan.architecture = "WanTransformer3DModel";
  wan.hidden = 5120;
  wan.norms = {{.place = "norm2", .width = 5120, .kind = NormKind::layer, .bias = true}};
  check_cases(op, wan);
  CHECK(widths_of(op, wan, "hidden") == std::set<std::string>{"5120"});
  CHECK(widths_of(op, wan, "has_bias").empty());
  wan.norms[0].bias = false;
  CHECK(widths_of(op, wan, "has_bias") == std::set<std::string>{"false"});
  wan.norms[0].weight_offset = 1.0;  // no op adds to the weight of a layer norm
  CHECK(op.model_cases(wan).empty());
}
