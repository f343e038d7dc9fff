#include <catch2/catch.hpp>

#include <kerncast/ops/quant/per_tensor_fp8.hpp>
#include <kerncast/ops/quant/per_token_fp8.hpp>
#include <kerncast/ops/quant/per_token_int8.hpp>
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;

namespace {

quant::PerTokenFp8 tokens() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {6, 7168}),
          .q = TensorView::contiguous(memory, DType::fp8_e4m3, {6, 7168}),
          .s = TensorView::contiguous(memory, DType::f32, {6, 1})};
}

quant::PerTensorFp8 tensor() {
  return {.x = tokens().x,
          .q = tokens().q,
          .s = TensorView::contiguous(memory, DType::f32, {1}),
          .workspace = TensorView::contiguous(memory, DType::f32, {1024})};
}

}  // namespace

TEST_CASE("dense quantisation derives its specialisation from the tensors") {
  CHECK(format_specialisation(definition_of<quant::PerTokenFp8>(), bind(tokens()).spec) == "hidden=7168");
  CHECK(format_specialisation(definition_of<quant::PerTensorFp8>(), bind(tensor()).spec) == "hidden=7168");
  quant::PerTensorFp8 given{.x = tokens().x, .q = tokens().q, .scale = tensor().s};
  CHECK(format_specialisation(definition_of<quant::PerTensorFp8>(), bind(given).spec) ==
        "hidden=7168 dynamic=false");
  quant::PerTokenFp8 odd = tokens();
  odd.q.data = memory + 2;
  CHECK(param_of(odd, "alignment") == 4);
}

TEST_CASE("dense quantisation names what is wrong with a call") {
  quant::PerTokenFp8 test = tokens();
  test.q.dtype = DType::i8;
  CHECK_THAT(error_of(test), Contains("quant.per_token_fp8") && Contains("'q'") && Contains("fp8_e4m3"));
  CHECK_NOTHROW(bind(quant::PerTokenInt8{.x = test.x, .q = test.q, .s = test.s}));
  test = tokens();
  test.s.shape[1] = 2;
  CHECK_THAT(error_of(test), Contains("'s'"));
  test = tokens();
  test.s.dtype = DType::bf16;
  CHECK_THAT(error_of(test), Contains("'s'") && Contains("f32"));
  test = tokens();
  test.x.shape[1] = test.q.shape[1] = 70000;
  test.q.strides[0] = 70000;
  CHECK_THAT(error_of(test), Contains("nearest valid: 65536"));
  test = tokens();
  test.q.shape[0] = 5;
  CHECK_THAT(error_of(test), Contains("'q'") && Contains("shape of x"));
  quant::PerTensorFp8 whole = tensor();
  whole.workspace = {};
  CHECK_THAT(error_of(whole), Contains("'workspace'") && Contains("missing"));
  whole = tensor();
  whole.workspace.shape[0] = 1000;
  CHECK_THAT(error_of(whole), Contains("'workspace'") && Contains("[1024]"));
  whole = tensor();
  whole.scale = whole.s;
  CHECK_THAT(error_of(whole), Contains("give one"));
  whole = tensor();
  whole.s.device = 3;
  CHECK_THAT(error_of(whole), Contains("device 3"));
  CHECK_THAT(message_of([&] {
               static_cast<void>(specialise(definition_of<quant::PerTokenInt8>(), {{"hidden", "12"}}));
             }),
             Contains("widest valid: 8"));
}

TEST_CASE("dense quantisation covers every row with its grids") {
  const std::int64_t rows = GENERATE(1, 3, 500, 40000);
  const std::string hidden = GENERATE("128", "2880", "28672");
  for (const OpDefinition* op :
       {&definition_of<quant::PerTokenFp8>(), &definition_of<quant::PerTensorFp8>()}) {
    const Specialisation spec = specialise(*op, {{"hidden", hidden}});
    const Tunables tunables = op->default_tunables(spec, DeviceTraits{}, rows);
    check_choices(*op, tunables);
    const LaunchGeometry made =
        (op->later_stages.empty() ? op->geometry : op->later_stages[0].geometry)(spec, tunables, {}, rows);
    const std::int64_t blocks = std::int64_t{made.grid[0]} * made.grid[1];
    if (op->later_stages.empty()) {
      CHECK(blocks * tunable_of(*op, tunables, "rows_per_block") >= rows);
    } else {
      // Blocks take tiles in turn: enough of them for every multiprocessor, or one tile each.
      CHECK((blocks * made.block[0] * tunable_of(*op, tunables, "vectors") * 8 >=
                 rows * param_of(*op, spec, "hidden") ||
             blocks >= DeviceTraits{}.sm_count));
      CHECK(op->geometry(spec, tunables, {}, rows).grid[0] <= 1024);
    }
  }
}

TEST_CASE("a given scale needs no first stage") {
  const OpDefinition& op = definition_of<quant::PerTensorFp8>();
  const Specialisation spec = specialise(op, {{"hidden", "128"}, {"dynamic", "false"}});
  CHECK(op.geometry(spec, op.default_tunables(spec, {}, 4), {}, 4).grid[0] == 0);
}

TEST_CASE("dense quantisation plans its tensors and knows the models") {
  const OpDefinition& op = definition_of<quant::PerTensorFp8>();
  Bindings bindings;
  bindings.set_param("hidden", "64");
  CHECK(op.plan_inputs(bindings, 5).size() == 1);
  bindings.set_tensor("x", TensorView::contiguous(memory, DType::bf16, {5, 64}));
  CHECK(op.plan_outputs(bindings).size() == 3);
  bindings.set_param("dynamic", "false");
  CHECK(op.plan_inputs(bindings, 5).size() == 2);
  bindings.set_tensor("scale", TensorView::contiguous(memory, DType::f32, {1}));
  CHECK(op.plan_outputs(bindings).size() == 1);
  check_cases(op, deepseek_v3());
  check_cases(definition_of<quant::PerTokenFp8>(), deepseek_v3());
  CHECK(widths_of(definition_of<quant::PerTokenInt8>(), deepseek_v3(), "hidden") ==
        std::set<std::string>{"7168", "1536", "512", "16384", "2048", "18432"});
}
