#include <catch2/catch.hpp>
#include <set>

#include <kerncast/ops/norm/rms_norm.hpp>
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;

namespace {

norm::RmsNorm good() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {4, 7168}),
          .weight = TensorView::contiguous(memory, DType::bf16, {7168}),
          .y = TensorView::contiguous(memory, DType::bf16, {4, 7168})};
}

}  // namespace

TEST_CASE("rms_norm derives its specialisation from the tensors") {
  const Call call = bind(good());
  CHECK(format_specialisation(definition_of<norm::RmsNorm>(), call.spec) == "hidden=7168");
  CHECK(call.rows == 4);

  norm::RmsNorm odd = good();
  odd.x.data = memory + 2;
  odd.hf_rounding = true;
  odd.weight = {};
  CHECK(format_specialisation(definition_of<norm::RmsNorm>(), bind(odd).spec) ==
        "hidden=7168 alignment=2 has_weight=false hf_rounding=true");
}

TEST_CASE("rms_norm takes the widest access that all tensors allow") {
  const auto alignment = [](const norm::RmsNorm& arguments) { return param_of(arguments, "alignment"); };
  norm::RmsNorm test = good();
  test.x.strides[0] = 7172;
  CHECK(alignment(test) == 8);
  test = good();
  test.weight.data = memory + 4;
  CHECK(alignment(test) == 4);
  test = good();
  test.y = TensorView::contiguous(memory + 8, DType::f32, {4, 7168});
  CHECK(alignment(test) == 4);
  test.y.data = memory + 16;
  CHECK(alignment(test) == 16);
  test = good();
  test.x = TensorView::contiguous(memory, DType::f32, {4, 7168});
  test.y.data = memory + 8;
  CHECK(alignment(test) == 16);
  test.y.data = memory + 4;
  CHECK(alignment(test) == 8);
}

TEST_CASE("rms_norm names what is wrong with a call") {
  norm::RmsNorm test = good();
  test.x.dtype = DType::i8;
  CHECK_THAT(error_of(test),
             Contains("norm.rms_norm") && Contains("'x'") && Contains("i8") && Contains("bf16"));
  test = good();
  test.x.data = nullptr;
  CHECK_THAT(error_of(test), Contains("'x'") && Contains("null"));
  test = good();
  test.y.shape[1] = 7000;
  CHECK_THAT(error_of(test), Contains("'y'") && Contains("7000") && Contains("7168"));
  test = good();
  test.weight.shape[0] = 7000;
  CHECK_THAT(error_of(test), Contains("'weight'") && Contains("[7168]"));
  test = good();
  test.x.strides[1] = 2;
  CHECK_THAT(error_of(test), Contains("'x'") && Contains("not contiguous"));
  test = good();
  test.y.strides[0] = 100;
  CHECK_THAT(error_of(test), Contains("'y'") && Contains("overlap"));
  test = good();
  test.y.device = 1;
  CHECK_THAT(error_of(test), Contains("device 1") && Contains("device 0"));
  test = good();
  test.eps = -1.0F;
  CHECK_THAT(error_of(test), Contains("eps is -1"));
  test = good();
  test.weight = {};
  test.weight_offset = 1.0F;
  CHECK_THAT(error_of(test), Contains("weight_offset"));
  test = good();
  test.x.data = memory + 1;
  CHECK_THAT(error_of(test), Contains("'x'") && Contains("multiple of its element's 2 bytes"));
  test = good();
  test.x = test.y = TensorView::contiguous(memory, DType::bf16, {4, 70000});
  CHECK_THAT(error_of(test), Contains("70000") && Contains("nearest valid: 65536"));
  test = good();
  test.x = {};
  CHECK_THAT(error_of(test), Contains("'x'"));
  test = good();
  test.x = TensorView::contiguous(memory, DType::bf16, {2, 2, 7168});
  test.x.strides[0] = 5 * 7168;
  test.y = TensorView::contiguous(memory, DType::bf16, {2, 2, 7168});
  CHECK_THAT(error_of(test), Contains("do not flatten"));
  const OpDefinition& op = definition_of<norm::RmsNorm>();
  CHECK_THAT(message_of([&] { static_cast<void>(specialise(op, {{"hidden", "2881"}})); }),
             Contains("alignment = 16") && Contains("widest valid: 2"));
}

TEST_CASE("rms_norm of no rows needs no memory") {
  norm::RmsNorm test = good();
  test.x = TensorView::contiguous(nullptr, DType::bf16, {0, 7168});
  test.y = test.x;
  test.weight.data = nullptr;
  test.weight.rank = 1;
  CHECK(bind(test).rows == 0);
}

TEST_CASE("rms_norm knows the models") {
  const OpDefinition& op = definition_of<norm::RmsNorm>();
  CHECK(widths_of(op, deepseek_v3(), "hidden") == std::set<std::string>{"7168", "1536", "512"});
  ModelConfig flux;
  flux.hidden = 3072;
  flux.norms = {{.place = "norm2", .width = 3072, .kind = NormKind::layer}};
  CHECK(op.model_cases(flux).empty());
  ModelConfig odd;
  odd.norms = {{.place = "norms", .width = 2882},
               {.place = "v_norm", .width = 96, .weight = false, .f32 = true}};
  CHECK_NOTHROW(check_cases(op, odd));
  CHECK(widths_of(op, odd, "has_weight") == std::set<std::string>{"false"});
  CHECK(widths_of(op, odd, "x_dtype") == std::set<std::string>{"bf16", "f32"});
  check_cases(op, deepseek_v3());
}
