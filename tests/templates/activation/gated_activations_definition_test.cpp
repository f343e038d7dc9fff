#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include <kerncast/ops/activation/gelu_and_mul.hpp>
#include <kerncast/ops/activation/silu_and_mul.hpp>
#include <kerncast/ops/activation/swiglu_oai.hpp>
#include "templates/activation/shared/gated_spec_index.hpp"
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
namespace gated_params = kerncast::activation::gated_params;
using Catch::Contains;

namespace {

activation::SiluAndMul good() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {6, 4096}),
          .y = TensorView::contiguous(memory, DType::bf16, {6, 2048}),
          .masked_m = {}};
}

activation::SiluAndMul masked() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {4, 6, 4096}),
          .y = TensorView::contiguous(memory, DType::bf16, {4, 6, 2048}),
          .masked_m = TensorView::contiguous(memory, DType::i32, {4})};
}

Call interleaved(const activation::SiluAndMul& call) {
  return bind(activation::SwigluOai{.x = call.x, .y = call.y, .masked_m = call.masked_m});
}

}  // namespace

TEST_CASE("gated activations derive their specialisation from the tensors") {
  const OpDefinition& op = definition_of<activation::SiluAndMul>();
  CHECK(format_specialisation(op, bind(good()).spec) == "hidden=2048");
  CHECK(format_specialisation(op, bind(masked()).spec) == "hidden=2048 experts=4");
  activation::SiluAndMul odd = good();
  odd.y.data = memory + 4;
  CHECK(bind(odd).spec[gated_params::alignment] == 4);
  CHECK(interleaved(odd).spec[gated_params::alignment] == 8);
  odd = good();
  odd.x.shape[1] = 6;
  odd.x.strides[0] = 8;
  odd.y.shape[1] = 3;
  odd.y.strides[0] = 8;
  // The ups start six bytes into the row. If gates and ups are interleaved, only the rows' starts count.
  CHECK(bind(odd).spec[gated_params::alignment] == 2);
  CHECK(interleaved(odd).spec[gated_params::alignment] == 4);
}

TEST_CASE("a limit is a number of the call, of which the kernel knows only that there is one") {
  const OpDefinition& op = definition_of<activation::SiluAndMul>();
  activation::SiluAndMul test = good();
  test.limit = 10.0F;
  const Specialisation ten = bind(test).spec;
  CHECK(format_specialisation(op, ten) == "hidden=2048 limit=true");
  test.limit = 7.0F;
  CHECK(bind(test).spec.values == ten.values);
  for (const float wrong : {-1.0F, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    test.limit = wrong;
    CHECK_THAT(error_of(test), Contains("limit") && Contains("or 0 for none"));
  }
  activation::SwigluOai oai{.x = good().x, .y = good().y, .limit = 0.0F};
  CHECK_THAT(error_of(oai), Contains("activation.swiglu_oai") && Contains("limit is 0"));
  oai.limit = 7.0F;
  oai.alpha = std::numeric_limits<float>::infinity();
  CHECK_THAT(error_of(oai), Contains("alpha is inf"));
}

TEST_CASE("gated activations of a model have its limits") {
  ModelConfig model = deepseek_v3();
  for (ModelMlp& mlp : model.mlps) {
    mlp.limit = 10.0;
  }
  const OpDefinition& op = definition_of<activation::SiluAndMul>();
  check_cases(op, model);
  CHECK(widths_of(op, model, "limit") == std::set<std::string>{"true"});
  CHECK(op.model_cases(model).front().scalars ==
        std::vector<std::pair<std::string, double>>{{"limit", 10.0}});
}

TEST_CASE("gated activations name what is wrong with a call") {
  activation::SiluAndMul test = good();
  test.x.shape[1] = 4097;
  CHECK_THAT(error_of(test),
             Contains("activation.silu_and_mul") && Contains("4097") && Contains("nearest valid: 4096"));
  test = good();
  test.y.shape[1] = 2047;
  CHECK_THAT(error_of(test), Contains("'y'") && Contains("2048 columns"));
  test = good();
  test.y.shape[0] = 5;
  CHECK_THAT(error_of(test), Contains("'y'"));
  test = good();
  test.x.dtype = DType::i8;
  CHECK_THAT(error_of(test), Contains("'x'") && Contains("i8"));
  test = good();
  test.y.data = nullptr;
  CHECK_THAT(error_of(test), Contains("'y'") && Contains("null"));
  test = good();
  test.y.device = 1;
  CHECK_THAT(error_of(test), Contains("device 1"));
  test = good();
  test.x.strides[1] = 2;
  CHECK_THAT(error_of(test), Contains("not contiguous"));
  test = good();
  test.y.strides[0] = 2047;
  CHECK_THAT(error_of(test), Contains("overlap"));
  test = masked();
  test.masked_m.dtype = DType::i64;
  CHECK_THAT(error_of(test), Contains("'masked_m'") && Contains("i32"));
  test = masked();
  test.masked_m.shape[0] = 5;
  CHECK_THAT(error_of(test), Contains("'masked_m'") && Contains("one contiguous element per expert"));
  test = masked();
  test.x.rank = test.y.rank = 2;
  CHECK_THAT(error_of(test), Contains("[experts, rows, width]"));
  test = masked();
  test.y.strides[0] = 100;
  CHECK_THAT(error_of(test), Contains("overlap"));
  const OpDefinition& op = definition_of<activation::SiluAndMul>();
  CHECK_THAT(message_of([&] { static_cast<void>(specialise(op, {{"hidden", "12"}})); }),
             Contains("alignment = 16") && Contains("widest valid: 8"));
}

TEST_CASE("gated activations cover every element with their grid") {
  const std::int64_t rows = GENERATE(1, 3, 500, 40000);
  const std::string hidden = GENERATE("768", "2880", "14336");
  const std::string experts = GENERATE("0", "4");
  const OpDefinition& op = definition_of<activation::SiluAndMul>();
  const Specialisation spec = specialise(op, {{"hidden", hidden}, {"experts", experts}});
  const Tunables tunables = op.default_tunables(spec, DeviceTraits{}, rows * 4);
  check_choices(op, tunables);
  const LaunchGeometry geometry =
      op.geometry(spec, tunables, DeviceTraits{}, experts == "4" ? rows * 4 : rows);
  CHECK(geometry.grid[2] == (experts == "4" ? 4U : 1U));
  CHECK(std::int64_t{geometry.grid[0]} * geometry.grid[1] * geometry.block[0] *
            tunables[gated_params::vectors] * 8 >=
        rows * spec[gated_params::hidden]);
}

TEST_CASE("gated activations plan their tensors") {
  const OpDefinition& op = definition_of<activation::GeluAndMul>();
  Bindings bindings;
  bindings.set_param("hidden", "64");
  bindings.set_param("experts", "3");
  const std::vector<TensorPlan> inputs = op.plan_inputs(bindings, 5);
  REQUIRE(inputs.size() == 2);
  CHECK(inputs[0].shape == std::vector<std::int64_t>{3, 5, 128});
  CHECK(inputs[1].dtype == DType::i32);
  bindings.set_tensor("x", TensorView::contiguous(memory, DType::bf16, {3, 5, 128}));
  CHECK(op.plan_outputs(bindings).at(0).shape == std::vector<std::int64_t>{3, 5, 64});
}

TEST_CASE("gated activations know the models") {
  const ModelConfig model = deepseek_v3();
  CHECK(definition_of<activation::GeluAndMul>().model_cases(model).empty());
  check_cases(definition_of<activation::SiluAndMul>(), model);
  CHECK(widths_of(definition_of<activation::SiluAndMul>(), model, "hidden") ==
        std::set<std::string>{"2048", "18432"});
  CHECK(widths_of(definition_of<activation::SiluAndMul>(), model, "experts") == std::set<std::string>{"32"});
  CHECK(definition_of<activation::SwigluOai>().model_cases(model).empty());
}
