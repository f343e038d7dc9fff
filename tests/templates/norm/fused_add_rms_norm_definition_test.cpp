#include <catch2/catch.hpp>
#include <set>

#include <kerncast/ops/norm/fused_add_rms_norm.hpp>
#include "templates/norm/shared/row_params.hpp"
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;

namespace {

norm::FusedAddRmsNorm good() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {4, 7168}),
          .residual = TensorView::contiguous(memory + 64, DType::bf16, {4, 7168}),
          .weight = TensorView::contiguous(memory, DType::bf16, {7168}),
          .y = TensorView::contiguous(memory, DType::bf16, {4, 7168})};
}

}  // namespace

TEST_CASE("fused_add_rms_norm derives its specialisation from the tensors") {
  const OpDefinition& op = definition_of<norm::FusedAddRmsNorm>();
  CHECK(format_specialisation(op, bind(good()).spec) == "hidden=7168");
  norm::FusedAddRmsNorm test = good();
  test.residual.data = memory + 2;
  test.hf_rounding = true;
  test.weight = {};
  CHECK(format_specialisation(op, bind(test).spec) ==
        "hidden=7168 alignment=2 has_weight=false hf_rounding=true");
  test.round_residual = true;
  CHECK(format_specialisation(op, bind(test).spec) ==
        "hidden=7168 alignment=2 has_weight=false hf_rounding=true round_residual=true");
  // A residual of f32 is loaded 16 bytes at a time beside 8 bytes of x.
  test = good();
  test.residual.dtype = DType::f32;
  CHECK(format_specialisation(op, bind(test).spec) == "hidden=7168 alignment=8 residual_dtype=f32");
}

TEST_CASE("fused_add_rms_norm names what is wrong with a call") {
  norm::FusedAddRmsNorm test = good();
  test.residual.dtype = DType::i8;
  CHECK_THAT(error_of(test), Contains("norm.fused_add_rms_norm") && Contains("'residual'") && Contains("i8"));
  test = good();
  test.residual.shape[0] = 5;
  CHECK_THAT(error_of(test), Contains("'residual'") && Contains("[5, 7168]") && Contains("[4, 7168]"));
  test = good();
  test.residual.strides[0] = 7;
  CHECK_THAT(error_of(test), Contains("'residual'") && Contains("overlap"));
  test = good();
  test.residual = {};
  CHECK_THAT(error_of(test), Contains("'residual' is missing"));
  test = good();
  test.y.data = test.residual.data;
  CHECK_THAT(error_of(test), Contains("'residual' and 'y' share memory"));
  test = good();
  test.x.data = test.residual.data;
  CHECK_THAT(error_of(test), Contains("'residual' and 'x' share memory"));
  test = good();
  test.residual.device = 3;
  CHECK_THAT(error_of(test), Contains("device 3"));
  test = good();
  test.weight.shape[0] = 2;
  CHECK_THAT(error_of(test), Contains("'weight'") && Contains("[7168]"));
  test = good();
  test.eps = -1.0F;
  CHECK_THAT(error_of(test), Contains("eps is -1"));
  test = good();
  test.weight = {};
  test.weight_offset = 1.0F;
  CHECK_THAT(error_of(test), Contains("weight_offset"));
  CHECK_THAT(
      message_of([] {
        static_cast<void>(specialise(definition_of<norm::FusedAddRmsNorm>(), {{"hidden", "2881"}}));
      }),
      Contains("norm.fused_add_rms_norm") && Contains("alignment = 16") && Contains("widest valid: 2"));
}

TEST_CASE("fused_add_rms_norm knows the models") {
  const OpDefinition& op = definition_of<norm::FusedAddRmsNorm>();
  check_cases(op, deepseek_v3());
  CHECK(widths_of(op, deepseek_v3(), "hidden") == std::set<std::string>{"7168"});
  ModelConfig flux;
  flux.hidden = 3072;
  flux.norms = {{.place = "norm2", .width = 3072, .kind = NormKind::layer},
                {.place = "k_norm", .width = 128}};
  CHECK(op.model_cases(flux).empty());
}
