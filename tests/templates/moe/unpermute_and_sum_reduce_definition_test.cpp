#include <catch2/catch.hpp>

#include <kerncast/ops/moe/sum_reduce.hpp>
#include <kerncast/ops/moe/unpermute.hpp>
#include "templates/moe/shared/row_tiles.hpp"
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
namespace row_tiles = kerncast::moe::row_tiles;
using Catch::Contains;

namespace {

moe::SumReduce reduce() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {5, 8, 64}),
          .weights = TensorView::contiguous(memory, DType::f32, {5, 8}),
          .addend = {},
          .y = TensorView::contiguous(memory, DType::bf16, {5, 64})};
}

moe::Unpermute unpermute() {
  return {.x = TensorView::contiguous(memory, DType::bf16, {40, 64}),
          .map = TensorView::contiguous(memory, DType::i32, {5, 8}),
          .weights = TensorView::contiguous(memory, DType::f32, {5, 8}),
          .addend = {},
          .y = TensorView::contiguous(memory, DType::bf16, {5, 64})};
}

}  // namespace

TEST_CASE("sums over slots derive their specialisation from the tensors") {
  CHECK(format_specialisation(definition_of<moe::SumReduce>(), bind(reduce()).spec) == "hidden=64 top_k=8");
  moe::SumReduce odd = reduce();
  odd.addend = TensorView::contiguous(memory + 4, DType::bf16, {5, 64});
  odd.weights = {};
  CHECK(format_specialisation(definition_of<moe::SumReduce>(), bind(odd).spec) ==
        "hidden=64 top_k=8 has_weights=false has_addend=true alignment=4");
  moe::Unpermute wide = unpermute();
  wide.y.dtype = DType::f32;
  CHECK(format_specialisation(definition_of<moe::Unpermute>(), bind(wide).spec) ==
        "y_dtype=f32 hidden=64 top_k=8");
}

TEST_CASE("sum_reduce names what is wrong with a call") {
  moe::SumReduce test = reduce();
  test.x.rank = 1;
  CHECK_THAT(error_of(test), Contains("moe.sum_reduce") && Contains("'x'") && Contains("top_k, hidden"));
  test = reduce();
  test.x.shape[0] = 4;
  CHECK_THAT(error_of(test), Contains("'x'") && Contains("5 tokens"));
  test = reduce();
  test.x.shape[1] = 65;
  CHECK_THAT(error_of(test), Contains("top_k is 65") && Contains("nearest valid: 64"));
  test = reduce();
  test.x.dtype = DType::i8;
  CHECK_THAT(error_of(test), Contains("'x'") && Contains("i8"));
  test = reduce();
  test.x.strides[2] = 2;
  CHECK_THAT(error_of(test), Contains("'x'") && Contains("contiguous"));
  test = reduce();
  test.weights.shape[1] = 7;
  CHECK_THAT(error_of(test), Contains("'weights'") && Contains("8 slots"));
  test = reduce();
  test.weights.dtype = DType::bf16;
  CHECK_THAT(error_of(test), Contains("'weights'") && Contains("f32"));
  test = reduce();
  test.addend = TensorView::contiguous(memory, DType::f32, {5, 64});
  CHECK_THAT(error_of(test), Contains("'addend'") && Contains("bf16, as y"));
  test = reduce();
  test.addend = TensorView::contiguous(memory, DType::bf16, {64});
  CHECK_THAT(error_of(test), Contains("'addend'") && Contains("shape of y"));
  test = reduce();
  test.y.data = nullptr;
  CHECK_THAT(error_of(test), Contains("'y'") && Contains("null"));
  test = reduce();
  test.y.data = memory + 1;
  CHECK_THAT(error_of(test), Contains("'y'") && Contains("align"));
  test = reduce();
  test.weights.device = 2;
  CHECK_THAT(error_of(test), Contains("device 2"));
  test = reduce();
  test.routed_scaling_factor = std::numeric_limits<float>::infinity();
  CHECK_THAT(error_of(test), Contains("routed_scaling_factor is inf"));
}

TEST_CASE("unpermute names what is wrong with a call") {
  moe::Unpermute test = unpermute();
  test.map.dtype = DType::i64;
  CHECK_THAT(error_of(test), Contains("moe.unpermute") && Contains("'map'") && Contains("i32"));
  test = unpermute();
  test.map.shape[0] = 4;
  CHECK_THAT(error_of(test), Contains("'map'") && Contains("5 rows"));
  test = unpermute();
  test.map = {};
  CHECK_THAT(error_of(test), Contains("'map'") && Contains("missing"));
  test = unpermute();
  test.x.shape[1] = 32;
  CHECK_THAT(error_of(test), Contains("'x'") && Contains("rows of 64"));
}

TEST_CASE("sums over slots refuse an alignment that does not divide a row") {
  CHECK_THAT(message_of([&] {
               check_specialisation(
                   definition_of<moe::SumReduce>(),
                   specialise(definition_of<moe::SumReduce>(), {{"hidden", "36"}, {"top_k", "2"}}));
             }),
             Contains("alignment = 16") && Contains("widest valid: 8"));
}

TEST_CASE("sums over slots cover every token, with several blocks to one where tokens are few") {
  const std::int64_t rows = GENERATE(1, 16, 132, 300, 8192, (std::int64_t{1} << 34) + 3);
  const std::string hidden = GENERATE("8", "64", "2048", "2880", "7168", "65536");
  const OpDefinition& op = definition_of<moe::SumReduce>();
  const Specialisation spec = specialise(op, {{"hidden", hidden}, {"top_k", "8"}});
  const Tunables tunables = op.default_tunables(spec, DeviceTraits{}, rows);
  check_choices(op, tunables);
  const LaunchGeometry geometry = op.geometry(spec, tunables, DeviceTraits{}, rows);
  CHECK(geometry.block[0] >= 32);
  CHECK(geometry.block[0] % static_cast<std::uint32_t>(tunables[row_tiles::rows_per_block]) == 0);
  CHECK(std::int64_t{geometry.grid[0]} * geometry.grid[1] * tunables[row_tiles::rows_per_block] >=
        rows * tunables[row_tiles::blocks_per_row]);
  CHECK(geometry.grid[1] <= 65535);
  if (rows == 1 && hidden == "7168") {
    CHECK(geometry.grid[0] * geometry.block[0] >= 896);
  }
  if (rows == 8192 && hidden == "64") {
    CHECK(geometry.grid[0] <= 1024);
  }
}

TEST_CASE("sums over slots know the models with experts") {
  check_cases(definition_of<moe::SumReduce>(), deepseek_v3());
  check_cases(definition_of<moe::Unpermute>(), deepseek_v3());
  CHECK(definition_of<moe::SumReduce>().model_cases(deepseek_v3()).size() == 2);
  CHECK(definition_of<moe::Unpermute>().model_cases(deepseek_v3()).size() == 1);
  ModelConfig dense = deepseek_v3();
  dense.experts = 0;
  CHECK(definition_of<moe::SumReduce>().model_cases(dense).empty());
  CHECK(definition_of<moe::Unpermute>().model_cases(dense).empty());
}

TEST_CASE("sum_reduce derives from ids which slots count, and checks them") {
  moe::SumReduce test = reduce();
  test.ids = TensorView::contiguous(memory, DType::i32, {5, 8});
  test.experts = 32;
  CHECK(spec_of(test) == "hidden=64 top_k=8 has_ids=true experts=32");
  test.expert_map = TensorView::contiguous(memory, DType::i32, {256});
  CHECK(spec_of(test) == "hidden=64 top_k=8 has_ids=true has_expert_map=true experts=32");
  test.expert_map.shape[0] = 0;
  CHECK_THAT(error_of(test), Contains("'expert_map'") && Contains("experts of all ranks"));
  test.expert_map = TensorView::contiguous(memory, DType::i64, {256});
  CHECK_THAT(error_of(test), Contains("'expert_map' is i64"));
  test.expert_map = {};
  test.experts = 1025;
  CHECK_THAT(error_of(test), Contains("experts is 1025") && Contains("nearest valid: 1024"));
  test.experts = 32;
  test.ids.shape[1] = 7;
  CHECK_THAT(error_of(test), Contains("'ids'") && Contains("5 rows (those of y) of 8 slots"));
  test = reduce();
  test.expert_map = TensorView::contiguous(memory, DType::i32, {256});
  CHECK_THAT(error_of(test), Contains("expert_map") && Contains("needs ids"));
  // Without ids the number of experts makes no kernel of its own.
  test = reduce();
  test.experts = 32;
  CHECK(spec_of(test) == "hidden=64 top_k=8");
}
