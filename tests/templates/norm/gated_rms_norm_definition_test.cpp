#include <catch2/catch.hpp>
#include <set>

#include <kerncast/ops/norm/gated_rms_norm.hpp>
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;

namespace {

norm::GatedRmsNorm good() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {4, 128}),
          .z = TensorView::contiguous(memory, DType::bf16, {4, 128}),
          .weight = TensorView::contiguous(memory, DType::bf16, {128}),
          .y = TensorView::contiguous(memory, DType::bf16, {4, 128})};
}

}  // namespace

TEST_CASE("gated_rms_norm derives its specialisation from the tensors") {
  CHECK(spec_of(good()) == "hidden=128");
  norm::GatedRmsNorm test = good();
  test.z.data = memory + 2;
  test.hf_rounding = true;
  CHECK(spec_of(test) == "hidden=128 alignment=2 hf_rounding=true");
  test = good();
  test.z.dtype = DType::f32;
  CHECK(spec_of(test) == "hidden=128 alignment=8 z_dtype=f32");
  test = good();
  test.gate = norm::NormGate::sigmoid;
  CHECK(spec_of(test) == "hidden=128 gate=sigmoid");
}

TEST_CASE("gated_rms_norm names what is wrong with a call") {
  norm::GatedRmsNorm test = good();
  test.z.dtype = DType::i8;
  CHECK_THAT(error_of(test), Contains("norm.gated_rms_norm") && Contains("'z'") && Contains("i8"));
  test = good();
  test.z = {};
  CHECK_THAT(error_of(test), Contains("'z' is missing"));
  test = good();
  test.z.shape[0] = 3;
  CHECK_THAT(error_of(test), Contains("'z'") && Contains("[4, 128]"));
  test = good();
  test.y.strides[0] = 64;
  CHECK_THAT(error_of(test), Contains("'y'") && Contains("overlap"));
  test = good();
  test.weight = {};
  test.weight_offset = 1.0F;
  CHECK_THAT(error_of(test), Contains("weight_offset"));
}

TEST_CASE("gated_rms_norm knows the models with linear attention") {
  const OpDefinition& op = definition_of<norm::GatedRmsNorm>();
  CHECK(op.model_cases(deepseek_v3()).empty());
  ModelConfig next;
  next.hidden = 2048;
  next.norms = {{.place = "linear attention", .width = 128, .kind = NormKind::gated_rms}};
  check_cases(op, next);
  CHECK(widths_of(op, next, "hidden") == std::set<std::string>{"128"});
  next.norms[0].kind = NormKind::sigmoid_gated_rms;
  check_cases(op, next);
  CHECK(widths_of(op, next, "gate") == std::set<std::string>{"sigmoid"});
}
