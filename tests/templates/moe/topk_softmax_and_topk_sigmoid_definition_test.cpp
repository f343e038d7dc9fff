#include <catch2/catch.hpp>

#include <kerncast/ops/moe/topk_sigmoid.hpp>
#include <kerncast/ops/moe/topk_softmax.hpp>
#include "templates/moe/shared/router.hpp"
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
namespace router = kerncast::moe::router;
using Catch::Contains;

namespace {

template <class Gate>
Gate good() {
  Gate made;
  made.logits = TensorView::contiguous(memory, DType::f32, {5, 60});
  made.bias = TensorView::contiguous(memory, DType::f32, {60});
  made.weights = TensorView::contiguous(memory, DType::f32, {5, 4});
  made.ids = TensorView::contiguous(memory, DType::i32, {5, 4});
  return made;
}

ModelConfig mixtral() {
  ModelConfig model;
  model.router.scoring = RouterScoring::softmax;
  model.name = "mixtral";
  model.experts = 8;
  model.top_k = 2;
  return model;
}

}  // namespace

TEST_CASE("topk gates derive their specialisation from the tensors") {
  moe::TopkSoftmax gate = good<moe::TopkSoftmax>();
  gate.softcap = 30.0F;
  gate.renormalize = false;
  CHECK(format_specialisation(definition_of<moe::TopkSoftmax>(), bind(gate).spec) ==
        "experts=60 top_k=4 has_bias=true renormalize=false softcap=true");
  moe::TopkSigmoid plain = good<moe::TopkSigmoid>();
  plain.bias = {};
  CHECK(format_specialisation(definition_of<moe::TopkSigmoid>(), bind(plain).spec) == "experts=60 top_k=4");
}

TEMPLATE_TEST_CASE("topk gates name what is wrong with a call", "", moe::TopkSoftmax, moe::TopkSigmoid) {
  TestType test = good<TestType>();
  test.weights.shape[1] = test.ids.shape[1] = 33;
  CHECK_THAT(error_of(test), Contains("moe.topk_s") && Contains("top_k") && Contains("nearest valid: 32"));
  test = good<TestType>();
  test.logits.shape[1] = test.bias.shape[0] = 3;
  CHECK_THAT(error_of(test), Contains("top_k is 4") && Contains("nearest valid: 3"));
  test = good<TestType>();
  test.ids.shape[1] = 3;
  CHECK_THAT(error_of(test), Contains("'ids'"));
  test = good<TestType>();
  test.ids.dtype = DType::i64;
  CHECK_THAT(error_of(test), Contains("'ids'") && Contains("i64") && Contains("i32"));
  test = good<TestType>();
  test.bias.shape[0] = 59;
  CHECK_THAT(error_of(test), Contains("'bias'") && Contains("[60]"));
  test = good<TestType>();
  test.bias.dtype = DType::i8;
  CHECK_THAT(error_of(test), Contains("'bias'") && Contains("i8"));
  test = good<TestType>();
  test.logits.shape[1] = 1025;
  CHECK_THAT(error_of(test), Contains("1025") && Contains("nearest valid: 1024"));
  test = good<TestType>();
  test.logits.data = nullptr;
  CHECK_THAT(error_of(test), Contains("'logits'") && Contains("null"));
  test = good<TestType>();
  test.weights.device = 3;
  CHECK_THAT(error_of(test), Contains("device 3"));
  test = good<TestType>();
  test.logits.strides[1] = 2;
  CHECK_THAT(error_of(test), Contains("'logits'") && Contains("contiguous"));
}

TEST_CASE("topk_softmax refuses a cap that caps nothing") {
  moe::TopkSoftmax test = good<moe::TopkSoftmax>();
  test.softcap = -1.0F;
  CHECK_THAT(error_of(test), Contains("softcap is -1") && Contains("positive"));
  test.softcap = std::numeric_limits<float>::infinity();
  CHECK_THAT(error_of(test), Contains("softcap is inf"));
}

TEST_CASE("topk gates check their parameters together") {
  for (const OpDefinition* op : {&definition_of<moe::TopkSoftmax>(), &definition_of<moe::TopkSigmoid>()}) {
    CHECK_THAT(
        message_of([&] { check_specialisation(*op, specialise(*op, {{"experts", "4"}, {"top_k", "8"}})); }),
        Contains(op->name) && Contains("nearest valid: 4"));
  }
}

TEST_CASE("topk gates give every token a warp or more") {
  const std::int64_t rows = GENERATE(1, 2, 132, 133, 100001, (std::int64_t{1} << 34) + 3);
  const std::string experts = GENERATE("8", "60", "256", "1024");
  const OpDefinition& op = definition_of<moe::TopkSoftmax>();
  const Specialisation spec = specialise(op, {{"experts", experts}, {"top_k", "8"}});
  const Tunables tunables = op.default_tunables(spec, DeviceTraits{}, rows);
  check_choices(op, tunables);
  const LaunchGeometry geometry = op.geometry(spec, tunables, DeviceTraits{}, rows);
  CHECK(geometry.block[0] <= 1024);
  CHECK(std::int64_t{geometry.grid[0]} * geometry.grid[1] * tunables[router::rows_per_block] >= rows);
  CHECK(geometry.grid[1] <= 65535);
}

TEST_CASE("topk gates know their models") {
  check_cases(definition_of<moe::TopkSoftmax>(), mixtral());
  CHECK(widths_of(definition_of<moe::TopkSoftmax>(), mixtral(), "experts") == std::set<std::string>{"8"});
  CHECK(definition_of<moe::TopkSoftmax>().model_cases(deepseek_v3()).empty());
  CHECK(definition_of<moe::TopkSigmoid>().model_cases(mixtral()).empty());
  CHECK(definition_of<moe::TopkSigmoid>().model_cases(deepseek_v3()).empty());
  ModelConfig capped = mixtral();
  capped.router.softcap = 30.0;
  check_cases(definition_of<moe::TopkSoftmax>(), capped);
  CHECK(widths_of(definition_of<moe::TopkSoftmax>(), capped, "softcap") == std::set<std::string>{"true"});
  CHECK(widths_of(definition_of<moe::TopkSoftmax>(), mixtral(), "softcap").empty());
  ModelConfig plain = mixtral();
  plain.router.scoring = RouterScoring::sigmoid;
  plain.router.bias = true;
  check_cases(definition_of<moe::TopkSigmoid>(), plain);
  CHECK(widths_of(definition_of<moe::TopkSigmoid>(), plain, "has_bias") == std::set<std::string>{"true"});
}
