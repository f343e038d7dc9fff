#include <catch2/catch.hpp>
#include <set>

#include <kerncast/ops/norm/gate_residual_scale_shift.hpp>
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;

namespace {

TensorView view(std::initializer_list<std::int64_t> shape, DType type = DType::bf16, std::size_t offset = 0) {
  return TensorView::contiguous(memory + offset, type, shape);
}

norm::ScaleShift good() {
  return {.x = view({2, 6, 3072}),
          .scale = view({1, 3072}),
          .shift = view({1, 3072}),
          .y = view({2, 6, 3072}),
          .weight = {},
          .bias = {}};
}

norm::GateResidualScaleShift good_gated() {
  return {.norm = good(),
          .residual = view({2, 6, 3072}),
          .gate = view({1, 3072}),
          .r = view({2, 6, 3072}, DType::bf16, 32)};
}

/// The form that a scale of `shape` takes over 2 x 6 rows.
std::string form_of(std::initializer_list<std::int64_t> shape) {
  norm::ScaleShift test = good();
  test.scale = view(shape);
  const OpDefinition& op = definition_of<norm::ScaleShift>();
  const auto at = static_cast<std::size_t>(find_param(op, "scale_form"));
  return format_param(op.params[at], bind(test).spec[at]);
}

}  // namespace

TEST_CASE("scale_shift derives its specialisation from the tensors") {
  norm::ScaleShift test = good();
  const Call call = bind(test);
  CHECK(format_specialisation(definition_of<norm::ScaleShift>(), call.spec) == "hidden=3072");
  CHECK(call.rows == 12);
  test.norm = norm::RowNorm::rms;
  test.weight = view({3072}, DType::f32);
  test.scale = view({2, 3072}, DType::f32);
  test.shift = view({1}, DType::f32);
  CHECK(format_specialisation(definition_of<norm::ScaleShift>(), bind(test).spec) ==
        "hidden=3072 weight_dtype=f32 norm=rms has_weight=true modulation_dtype=f32 scale_form=grouped "
        "shift_form=scalar");
  norm::GateResidualScaleShift gated = good_gated();
  gated.norm.scale = gated.norm.shift = {};
  gated.residual.dtype = gated.r.dtype = DType::f32;
  CHECK(format_specialisation(definition_of<norm::GateResidualScaleShift>(), bind(gated).spec) ==
        "hidden=3072 alignment=8 scale_form=none shift_form=none residual_dtype=f32");
}

TEST_CASE("scale_shift tells the forms of an operand by its shape") {
  CHECK(form_of({1}) == "scale_form=scalar");
  CHECK(form_of({1, 1}) == "scale_form=scalar");
  CHECK(form_of({3072}) == "scale_form=shared");
  CHECK(form_of({1, 1, 3072}) == "scale_form=shared");
  CHECK(form_of({2, 3072}) == "scale_form=grouped");
  CHECK(form_of({2, 1, 3072}) == "scale_form=grouped");
  CHECK(form_of({2, 3, 3072}) == "scale_form=grouped");
  CHECK(form_of({2, 6, 3072}) == "scale_form=token");
  CHECK(form_of({12, 3072}) == "scale_form=token");
}

TEST_CASE("scale_shift names what is wrong with a call") {
  norm::ScaleShift test = good();
  test.scale = view({5, 3072});
  CHECK_THAT(error_of(test), Contains("'scale'") && Contains("[5, 3072]") && Contains("divides the 12 rows"));
  test = good();
  test.shift = view({1, 1024});
  CHECK_THAT(error_of(test), Contains("'shift'") && Contains("rows of 3072 elements"));
  test = good();
  test.shift.dtype = DType::f32;
  CHECK_THAT(error_of(test), Contains("'shift'") && Contains("bf16"));
  test = good();
  test.scale.dtype = DType::i8;
  CHECK_THAT(error_of(test), Contains("'scale'") && Contains("i8"));
  test = good();
  test.scale = view({2, 3, 3072});
  test.scale.strides[0] = 7 * 3072;
  CHECK_THAT(error_of(test), Contains("'scale'") && Contains("do not flatten"));
  test = good();
  test.shift.data = nullptr;
  test.shift.rank = 2;
  CHECK_THAT(error_of(test), Contains("'shift'") && Contains("null"));
  test = good();
  test.scale.device = 1;
  CHECK_THAT(error_of(test), Contains("device 1") && Contains("device 0"));
  test = good();
  test.y.shape[2] = 3000;
  CHECK_THAT(error_of(test), Contains("'y'") && Contains("3000"));
  test = good();
  test.weight = view({3072});
  test.bias = view({3072}, DType::f32);
  CHECK_THAT(error_of(test), Contains("'bias'") && Contains("bf16"));
  test = good();
  test.eps = -1.0F;
  CHECK_THAT(error_of(test), Contains("eps is -1"));
  test = good();
  test.x.data = memory + 1;
  CHECK_THAT(error_of(test), Contains("'x'") && Contains("multiple of its element's 2 bytes"));

  norm::GateResidualScaleShift gated = good_gated();
  gated.r.dtype = DType::f32;
  CHECK_THAT(error_of(gated),
             Contains("norm.gate_residual_scale_shift") && Contains("'r'") && Contains("bf16"));
  gated = good_gated();
  gated.r = {};
  CHECK_THAT(error_of(gated), Contains("'r'"));
  gated = good_gated();
  gated.residual = view({2, 5, 3072});
  CHECK_THAT(error_of(gated), Contains("'residual'") && Contains("shape of x"));
  gated = good_gated();
  gated.r.data = gated.norm.y.data;
  CHECK_THAT(error_of(gated), Contains("'r'") && Contains("'y'"));
  gated = good_gated();
  gated.gate = view({7, 3072});
  CHECK_THAT(error_of(gated), Contains("'gate'") && Contains("divides the 12 rows"));
}

TEST_CASE("scale_shift takes the roundings of torch for results of 16 bits") {
  const OpDefinition& op = definition_of<norm::ScaleShift>();
  norm::ScaleShift test = good();
  test.aten_rounding = norm::AtenRounding::rounded_norm;
  CHECK(format_specialisation(op, bind(test).spec) == "hidden=3072 aten_rounding=rounded_norm");
  test.y.dtype = DType::f32;
  CHECK_THAT(error_of(test), Contains("norm.scale_shift") && Contains("aten_rounding = rounded_norm") &&
                                 Contains("y is f32"));
  test = good();
  test.aten_rounding = norm::AtenRounding::split_norm;
  CHECK_THAT(error_of(test), Contains("split_norm") && Contains("norm is layer") && Contains("rounded_norm"));
  test.norm = norm::RowNorm::rms;
  CHECK(bind(test).rows == 12);
  norm::GateResidualScaleShift gated = good_gated();
  gated.norm.aten_rounding = norm::AtenRounding::split_norm;
  CHECK_THAT(error_of(gated), Contains("norm.gate_residual_scale_shift") && Contains("split_norm"));
  CHECK_THAT(
      message_of([&] {
        static_cast<void>(specialise(
            op, {{"hidden", "3072"}, {"alignment", "8"}, {"y_dtype", "f32"}, {"aten_rounding", "f32_norm"}}));
      }),
      Contains("aten_rounding = f32_norm") && Contains("bf16 or f16"));
}

TEST_CASE("scale_shift does without scale, without shift, and without both") {
  const OpDefinition& op = definition_of<norm::ScaleShift>();
  norm::ScaleShift test = good();
  test.shift = {};
  CHECK(format_specialisation(op, bind(test).spec) == "hidden=3072 shift_form=none");
  test.scale = {};
  CHECK(format_specialisation(op, bind(test).spec) == "hidden=3072 scale_form=none shift_form=none");
  test.shift = good().shift;
  CHECK(format_specialisation(op, bind(test).spec) == "hidden=3072 scale_form=none");
}

TEST_CASE("scale_shift of no rows needs no memory") {
  norm::ScaleShift test = good();
  test.x = test.y = TensorView::contiguous(nullptr, DType::bf16, {0, 3072});
  test.scale = test.shift = TensorView::contiguous(nullptr, DType::bf16, {1, 3072});
  CHECK(bind(test).rows == 0);
}

TEST_CASE("scale_shift takes the more general form that a setting names") {
  const OpDefinition& op = definition_of<norm::ScaleShift>();
  const norm::ScaleShift given = good();
  Bindings bindings;
  bindings.set_tensor("x", given.x);
  bindings.set_tensor("scale", given.scale);
  bindings.set_tensor("shift", given.shift);
  bindings.set_tensor("y", given.y);
  CHECK(op.bind(bindings).spec == bind(given).spec);
  bindings.set_param("scale_form", "grouped");
  CHECK(format_specialisation(op, op.bind(bindings).spec) == "hidden=3072 scale_form=grouped");
  bindings.set_param("scale_form", "token");
  CHECK_THAT(message_of([&] { static_cast<void>(op.bind(bindings)); }), Contains("scale_form"));
  CHECK_THAT(message_of([&] { static_cast<void>(specialise(op, {{"hidden", "2881"}})); }),
             Contains("alignment = 16") && Contains("widest valid: 2"));
}

TEST_CASE("scale_shift and gate_residual_scale_shift know the models") {
  ModelConfig flux;
  flux.hidden = 3072;
  flux.modulations = {{.place = "norm1", .width = 3072, .gate = "", .form = "shared"},
                      {.place = "norm2", .width = 3072, .gate = "shared", .form = "shared"}};
  ModelConfig wan = flux;
  for (ModelModulation& modulation : wan.modulations) {
    modulation.modulation_dtype = DType::f32;
    modulation.weight = modulation.bias = true;
  }
  for (const OpDefinition* op :
       {&definition_of<norm::ScaleShift>(), &definition_of<norm::GateResidualScaleShift>()}) {
    CHECK(widths_of(*op, flux, "hidden") == std::set<std::string>{"3072"});
    CHECK(widths_of(*op, flux, "modulation_dtype") == std::set<std::string>{"bf16"});
    CHECK(widths_of(*op, wan, "modulation_dtype") == std::set<std::string>{"f32"});
    check_cases(*op, flux);
    check_cases(*op, wan);
    CHECK(op->model_cases(deepseek_v3()).empty());
  }
  ModelConfig scaled = flux;
  scaled.modulations = {
      {.place = "norm1", .width = 3840, .kind = NormKind::rms, .weight = true, .gate = "", .form = "shared"}};
  scaled.modulations[0].shifted = false;
  check_cases(definition_of<norm::ScaleShift>(), scaled);
  CHECK(widths_of(definition_of<norm::ScaleShift>(), scaled, "scale_form") ==
        std::set<std::string>{"shared"});
  CHECK(widths_of(definition_of<norm::ScaleShift>(), scaled, "shift_form") == std::set<std::string>{"none"});
}
