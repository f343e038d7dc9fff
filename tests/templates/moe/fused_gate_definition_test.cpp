#include <catch2/catch.hpp>
#include <set>
#include <string>

#include <kerncast/ops/moe/fused_gate.hpp>
#include "templates/moe/shared/router.hpp"
#include "tests/templates/definition_fixture.hpp"
#include "tests/templates/kernel_cache.hpp"

using namespace kerncast;
using namespace kerncast::test;
namespace router = kerncast::moe::router;
using Catch::Contains;

namespace {

moe::FusedGate good() {
  return {.logits = TensorView::contiguous(memory, DType::f32, {5, 256}),
          .bias = TensorView::contiguous(memory, DType::f32, {256}),
          .weights = TensorView::contiguous(memory, DType::f32, {5, 9}),
          .ids = TensorView::contiguous(memory, DType::i32, {5, 9}),
          .groups = 8,
          .topk_group = 4,
          .num_fused_shared_experts = 1,
          .routed_scaling_factor = 2.5F};
}

}  // namespace

TEST_CASE("fused_gate derives its specialisation from the tensors") {
  CHECK(format_specialisation(definition_of<moe::FusedGate>(), bind(good()).spec) ==
        "experts=256 groups=8 topk_group=4 top_k=9 num_fused_shared_experts=1");
  // The addresses of the tensors do not matter.
  moe::FusedGate odd = good();
  odd.bias.data = memory + 4;
  odd.logits.data = memory + 12;
  odd.logits.strides[0] = 259;
  CHECK(bind(odd).spec == bind(good()).spec);
}

TEST_CASE("fused_gate takes other scores and a count of rows that are no padding") {
  moe::FusedGate test = good();
  test.scoring = moe::Scoring::sqrtsoftplus;
  test.num_token_non_padded = TensorView::contiguous(memory, DType::i32, {1});
  CHECK(format_specialisation(definition_of<moe::FusedGate>(), bind(test).spec) ==
        "experts=256 groups=8 topk_group=4 top_k=9 num_fused_shared_experts=1 scoring=sqrtsoftplus "
        "has_num_token_non_padded=true");
  test.num_token_non_padded = TensorView::contiguous(memory, DType::i64, {1});
  CHECK_THAT(error_of(test), Contains("'num_token_non_padded'") && Contains("i32"));
  test.num_token_non_padded = TensorView::contiguous(memory, DType::i32, {2});
  CHECK_THAT(error_of(test), Contains("'num_token_non_padded'") && Contains("shape [1]"));
  test.num_token_non_padded = TensorView::contiguous(memory + 2, DType::i32, {1});
  CHECK_THAT(error_of(test), Contains("'num_token_non_padded'") && Contains("multiple of"));
}

TEST_CASE("fused_gate names what is wrong with a call") {
  moe::FusedGate test = good();
  test.groups = 7;
  CHECK_THAT(error_of(test),
             Contains("moe.fused_gate") && Contains("groups is 7") && Contains("nearest valid: 8"));
  test = good();
  test.groups = 0;
  CHECK_THAT(error_of(test), Contains("groups is 0") && Contains("nearest valid: 1"));
  test = good();
  test.topk_group = 9;
  CHECK_THAT(error_of(test), Contains("topk_group is 9") && Contains("nearest valid: 8"));
  test = good();
  test.num_fused_shared_experts = 9;
  CHECK_THAT(error_of(test), Contains("num_fused_shared_experts") && Contains("nearest valid: 8"));
  test = good();
  test.groups = 128;
  test.topk_group = 2;
  CHECK_THAT(error_of(test), Contains("8 routed experts") && Contains("only 4"));
  test = good();
  test.weights.shape[1] = test.ids.shape[1] = 40;
  CHECK_THAT(error_of(test), Contains("top_k") && Contains("nearest valid: 32"));
  test = good();
  test.ids.shape[1] = 8;
  CHECK_THAT(error_of(test), Contains("'ids'"));
  test = good();
  test.ids.dtype = DType::i64;
  CHECK_THAT(error_of(test), Contains("'ids'") && Contains("i64") && Contains("i32"));
  test = good();
  test.weights.dtype = DType::bf16;
  CHECK_THAT(error_of(test), Contains("'weights'") && Contains("f32"));
  test = good();
  test.bias.shape[0] = 255;
  CHECK_THAT(error_of(test), Contains("'bias'") && Contains("[256]"));
  test = good();
  test.logits = TensorView::contiguous(memory, DType::f32, {5, 2000});
  CHECK_THAT(error_of(test), Contains("2000") && Contains("nearest valid: 1024"));
  test = good();
  test.routed_scaling_factor = 0.0F;
  CHECK_THAT(error_of(test), Contains("routed_scaling_factor is 0"));
  test = good();
  test.logits.data = nullptr;
  CHECK_THAT(error_of(test), Contains("'logits'") && Contains("null"));
  test = good();
  test.logits.data = memory + 2;
  CHECK_THAT(error_of(test), Contains("'logits'") && Contains("align"));
  test = good();
  test.bias.data = memory + 1;
  CHECK_THAT(error_of(test), Contains("'bias'") && Contains("align"));
  test = good();
  test.ids.device = 3;
  CHECK_THAT(error_of(test), Contains("device 3"));
  test = good();
  test.weights.shape[0] = 4;
  CHECK_THAT(error_of(test), Contains("'weights'") && Contains("5 rows"));
}

TEST_CASE("fused_gate by name refuses a parameter that it does not have") {
  const moe::FusedGate given = good();
  Bindings bindings;
  bindings.set_tensor("logits", given.logits);
  bindings.set_tensor("bias", given.bias);
  bindings.set_tensor("weights", given.weights);
  bindings.set_tensor("ids", given.ids);
  bindings.set_param("groups", "8");
  bindings.set_param("topk_group", "4");
  bindings.set_param("num_fused_shared_experts", "1");
  const OpDefinition& op = definition_of<moe::FusedGate>();
  CHECK(op.bind(bindings).spec == bind(given).spec);
  bindings.set_param("alignment", "4");
  CHECK_THAT(message_of([&] { static_cast<void>(op.bind(bindings)); }), Contains("alignment"));
}

TEST_CASE("fused_gate gives every token a warp or more") {
  const std::int64_t rows = GENERATE(1, 2, 132, 133, 100001, (std::int64_t{1} << 34) + 3);
  const std::string experts = GENERATE("8", "60", "256", "384", "1024");
  const OpDefinition& op = definition_of<moe::FusedGate>();
  const Specialisation spec = specialise(op, {{"experts", experts}, {"top_k", "8"}});
  const Tunables tunables = op.default_tunables(spec, DeviceTraits{}, rows);
  check_choices(op, tunables);
  const LaunchGeometry geometry = op.geometry(spec, tunables, DeviceTraits{}, rows);
  CHECK(geometry.block[0] ==
        static_cast<std::uint32_t>(tunables[router::threads_per_row] * tunables[router::rows_per_block]));
  CHECK(geometry.block[0] <= 1024);
  CHECK(std::int64_t{geometry.grid[0]} * geometry.grid[1] * tunables[router::rows_per_block] >= rows);
  CHECK(geometry.grid[1] <= 65535);
}

TEST_CASE("fused_gate knows the models with a sigmoid router") {
  const OpDefinition& op = definition_of<moe::FusedGate>();
  check_cases(op, deepseek_v3());
  CHECK(widths_of(op, deepseek_v3(), "top_k") == std::set<std::string>{"8", "9"});
  CHECK(widths_of(op, deepseek_v3(), "logits_dtype") == std::set<std::string>{"bf16", "f32"});
  CHECK(op.model_cases(deepseek_v3()).size() == 3);  // one engine alone fuses the shared expert
  ModelConfig softmax = deepseek_v3();
  softmax.router.scoring = RouterScoring::softmax;
  CHECK(op.model_cases(softmax).empty());
  ModelConfig odd = deepseek_v3();
  odd.experts = 60;
  odd.router.groups = 0;
  odd.router.topk_group = 0;
  check_cases(op, odd);
}

TEST_CASE("fused_gate takes threads that hold four experts or fewer") {
  const OpDefinition& op = definition_of<moe::FusedGate>();
  const DeviceTraits device{.sm = 80, .sm_count = 108, .max_shared_per_block = 163 * 1024};
  for (const char* experts : {"1", "60", "128", "129", "384", "896", "1000", "1024"}) {
    const Specialisation spec = specialise(op, {{"experts", experts}, {"top_k", "1"}});
    for (const std::int64_t rows : {1, 64, 1024, 8192, 100000}) {
      CHECK(op.tunables_defect(spec, op.default_tunables(spec, device, rows), device).empty());
    }
  }
  const Specialisation spec = specialise(op, {{"experts", "384"}, {"top_k", "8"}});
  CHECK(op.tunables_defect(spec, {{96, 4}}, device).empty());
  CHECK_THAT(op.tunables_defect(spec, {{64, 4}}, device), Contains("would hold 6 of the 384 experts"));
}

TEST_CASE("fused_gate compiles for the most groups and many rows") {
  const KernelCache cache;
  RuntimeOptions options;
  options.cache_directory = cache.path();
  Runtime runtime(options);
  const OpDefinition& op = definition_of<moe::FusedGate>();
  const Specialisation spec =
      specialise(op, {{"experts", "1024"}, {"groups", "1024"}, {"topk_group", "512"}, {"top_k", "8"}});
  const KernelReport report = runtime.compile(op, spec, "sm_80", 8192);
  CHECK(report.shared_bytes > 16 * 1024);
  CHECK(report.shared_bytes <= 48 * 1024);
}
