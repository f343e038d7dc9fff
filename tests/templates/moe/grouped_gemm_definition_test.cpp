#include <catch2/catch.hpp>
#include <limits>

#include <kerncast/ops/moe/grouped_gemm.hpp>
#include "templates/moe/grouped_gemm/tile.h"
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;

namespace {

TensorView integers(std::initializer_list<std::int64_t> shape) {
  return TensorView::contiguous(memory, DType::i32, shape);
}

/// 40 slots of 60 experts in blocks of 16.
moe::GroupedGemm good() {
  return {.a = TensorView::contiguous(memory, DType::bf16, {5, 128}),
          .b = TensorView::contiguous(memory, DType::bf16, {60, 96, 128}),
          .sorted = integers({640}),
          .expert = integers({40}),
          .total = integers({1}),
          .c = TensorView::contiguous(memory, DType::bf16, {40, 96}),
          .top_k = 8,
          .block = 16};
}

}  // namespace

TEST_CASE("grouped_gemm derives its specialisation from the tensors") {
  CHECK(spec_of(good()) == "n=96 k=128 experts=60 top_k=8 block=16");
  moe::GroupedGemm test = good();
  test.a.dtype = DType::f16;
  test.b.dtype = DType::f16;
  test.c = TensorView::contiguous(memory, DType::f32, {5, 8, 96});
  test.weights = TensorView::contiguous(memory, DType::f32, {5, 8});
  CHECK(spec_of(test) ==
        "a_dtype=f16 b_dtype=f16 c_dtype=f32 n=96 k=128 experts=60 top_k=8 block=16 has_weights=true");
  test = good();
  test.activation = moe::GemmActivation::silu_and_mul;
  test.c = TensorView::contiguous(memory, DType::bf16, {40, 48});
  CHECK(spec_of(test) == "n=96 k=128 experts=60 top_k=8 block=16 activation=silu_and_mul");
  test.limit = 7;
  CHECK(spec_of(test) == "n=96 k=128 experts=60 top_k=8 block=16 activation=silu_and_mul limit=true");
  test.activation = moe::GemmActivation::swiglu_oai;
  test.bias = TensorView::contiguous(memory, DType::f32, {60, 96});
  CHECK(spec_of(test) == "n=96 k=128 experts=60 top_k=8 block=16 activation=swiglu_oai bias=f32");
  test.limit = 0;
  CHECK(spec_of(test) == "n=96 k=128 experts=60 top_k=8 block=16 activation=swiglu_oai bias=f32");
  test = good();
  test.b.data = memory + 8;
  CHECK(param_of(test, "alignment") == 8);
  test = good();
  test.c.data = memory + 4;
  CHECK(param_of(test, "alignment") == 4);
  // Experts whose matrices are parts of larger ones.
  test = good();
  test.b.strides = {96 * 200, 200, 1};
  CHECK(param_of(test, "alignment") == 16);
  test.b.strides = {96 * 200, 201, 1};
  CHECK(param_of(test, "alignment") == 2);
}

TEST_CASE("grouped_gemm finds the form of scales from their shapes") {
  moe::GroupedGemm test = good();
  test.a = TensorView::contiguous(memory, DType::fp8_e4m3, {5, 300});
  test.b = TensorView::contiguous(memory, DType::fp8_e4m3, {60, 160, 300});
  test.c = TensorView::contiguous(memory, DType::bf16, {40, 160});
  test.a_scales = TensorView::contiguous(memory, DType::f32, {5, 3});
  test.b_scales = TensorView::contiguous(memory, DType::f32, {60, 2, 3});
  CHECK(
      spec_of(test) ==
      "a_dtype=fp8_e4m3 b_dtype=fp8_e4m3 n=160 k=300 experts=60 top_k=8 block=16 has_scales=true alignment=4 "
      "scale_form=blocks");
  // Rows may be the contiguous dimension.
  test.a_scales.strides = {1, 8};
  CHECK(param_of(test, "scale_form") == 1);
  test.b_scales = TensorView::contiguous(memory, DType::f32, {60, 160});
  CHECK_THAT(error_of(test), Contains("'b_scales'") && Contains("[60, 2, 3]"));
  test.b_scales = TensorView::contiguous(memory, DType::f32, {60, 2, 2});
  CHECK_THAT(error_of(test), Contains("'b_scales'") && Contains("[60, 2, 3]") && Contains("[60, 2, 2]"));
  test.b_scales = TensorView::contiguous(memory, DType::f32, {60, 2, 3});
  test.a_scales = TensorView::contiguous(memory, DType::f32, {5});
  CHECK_THAT(error_of(test), Contains("'a_scales'") && Contains("[5, 3]"));
  test.a_scales = TensorView::contiguous(memory, DType::f32, {5, 3});
  test.a_scales.dtype = DType::bf16;
  CHECK_THAT(error_of(test), Contains("'a_scales'") && Contains("bf16") && Contains("f32"));
  test.a_scales.dtype = DType::f32;
  test.a.dtype = DType::i8;
  test.b.dtype = DType::i8;
  CHECK_THAT(error_of(test), Contains("'a'") && Contains("i8") && Contains("128 elements"));
}

TEST_CASE("grouped_gemm takes b of four bits by the type of its scales") {
  moe::GroupedGemm test = good();
  test.b = TensorView::contiguous(memory, DType::u8, {60, 96, 64});
  test.b_scales = TensorView::contiguous(memory, DType::ue8m0, {60, 96, 4});
  CHECK(
      spec_of(test) ==
      "b_dtype=u8 n=96 k=128 experts=60 top_k=8 block=16 has_scales=true scale_form=mxfp4 scale_alignment=4");
  test.b_scales = TensorView::contiguous(memory, DType::bf16, {60, 96, 4});
  CHECK(
      spec_of(test) ==
      "b_dtype=u8 n=96 k=128 experts=60 top_k=8 block=16 has_scales=true scale_form=int4 scale_alignment=8");
  // Accesses may be wider than a row is long, since those of four bytes and more read a part.
  test.b_scales = TensorView::contiguous(memory, DType::ue8m0, {60, 96, 4});
  test.b_scales.strides = {96 * 32, 32, 1};
  CHECK(param_of(test, "scale_alignment") == 16);
  test.b_scales.strides = {96 * 6, 6, 1};
  CHECK(param_of(test, "scale_alignment") == 2);
  test.b_scales.strides = {96 * 8, 8, 2};
  CHECK_THAT(error_of(test), Contains("'b_scales'") && Contains("contiguous"));
  test.b_scales = TensorView::contiguous(memory, DType::ue8m0, {60, 96, 3});
  CHECK_THAT(error_of(test), Contains("'b_scales'") && Contains("[60, 96, 4]") && Contains("[60, 96, 3]"));
  test.b_scales.dtype = DType::f32;
  CHECK_THAT(error_of(test), Contains("'b_scales'") && Contains("f32") && Contains("ue8m0"));
  test.b_scales = {};
  CHECK_THAT(error_of(test), Contains("'b_scales'"));
  test.b_scales = TensorView::contiguous(memory, DType::ue8m0, {60, 96, 4});
  test.a_scales = TensorView::contiguous(memory, DType::f32, {5});
  CHECK_THAT(error_of(test), Contains("a_scales") && Contains("4 bits"));
  test.a_scales = {};
  test.a.dtype = DType::fp8_e4m3;
  CHECK_THAT(error_of(test), Contains("'a'") && Contains("fp8_e4m3") && Contains("bf16 or f16"));
  test.a.dtype = DType::bf16;
  test.b.shape[2] = 60;
  CHECK_THAT(error_of(test), Contains("'b'") && Contains("64") && Contains("half of"));
  test.a.shape[1] = 120;
  CHECK_THAT(error_of(test), Contains("k is 120") && Contains("32"));
}

TEST_CASE("grouped_gemm names what is wrong with a call") {
  moe::GroupedGemm test = good();
  test.a.dtype = DType::f32;
  CHECK_THAT(error_of(test), Contains("moe.grouped_gemm") && Contains("'a'") && Contains("f32"));
  test = good();
  test.b.dtype = DType::f16;
  CHECK_THAT(error_of(test), Contains("'b'") && Contains("f16") && Contains("bf16, as a"));
  test = good();
  test.b.shape[2] = 64;
  CHECK_THAT(error_of(test), Contains("'b'") && Contains("128"));
  test = good();
  test.b.data = memory + 1;
  CHECK_THAT(error_of(test), Contains("'b'") && Contains("align"));
  test = good();
  test.b.strides[2] = 2;
  CHECK_THAT(error_of(test), Contains("'b'") && Contains("contiguous"));
  test = good();
  test.c.shape[0] = 39;
  CHECK_THAT(error_of(test), Contains("'c'") && Contains("40 rows") && Contains("top_k = 8"));
  test = good();
  test.sorted.shape[0] = 624;
  CHECK_THAT(error_of(test), Contains("'sorted'") && Contains("[640]") && Contains("40 slots"));
  test = good();
  test.sorted.shape[0] = 650;
  CHECK_THAT(error_of(test), Contains("'sorted'") && Contains("multiple of block = 16"));
  test = good();
  test.expert.shape[0] = 39;
  CHECK_THAT(error_of(test), Contains("'expert'") && Contains("[40]"));
  test = good();
  test.total.dtype = DType::i64;
  CHECK_THAT(error_of(test), Contains("'total'") && Contains("i64"));
  test = good();
  test.weights = TensorView::contiguous(memory, DType::f32, {39});
  CHECK_THAT(error_of(test), Contains("'weights'") && Contains("40"));
  test = good();
  test.block = 0;
  CHECK_THAT(error_of(test), Contains("block is 0") && Contains("1"));
  test = good();
  test.top_k = 65;
  CHECK_THAT(error_of(test), Contains("top_k is 65") && Contains("64"));
  test = good();
  test.activation = moe::GemmActivation::silu_and_mul;
  CHECK_THAT(error_of(test), Contains("'c'") && Contains("48, half of the rows of b"));
  test.b.shape[1] = 95;
  CHECK_THAT(error_of(test), Contains("'b'") && Contains("even"));
  test = good();
  test.limit = 7;
  CHECK_THAT(error_of(test), Contains("limit is 7") && Contains("only silu_and_mul and swiglu_oai"));
  test.limit = -1;
  CHECK_THAT(error_of(test), Contains("limit is -1") && Contains("positive"));
  test = good();
  test.alpha = std::numeric_limits<float>::infinity();
  CHECK_THAT(error_of(test), Contains("alpha is inf") && Contains("finite"));
  test = good();
  test.bias = TensorView::contiguous(memory, DType::bf16, {60, 95});
  CHECK_THAT(error_of(test), Contains("'bias'") && Contains("[60, 95]") && Contains("[60, 96]"));
  test.bias = TensorView::contiguous(memory, DType::fp8_e4m3, {60, 96});
  CHECK_THAT(error_of(test), Contains("'bias'") && Contains("fp8_e4m3"));
  test = good();
  test.a_scales = TensorView::contiguous(memory, DType::f32, {5});
  CHECK_THAT(error_of(test),
             Contains("'a'") && Contains("bf16") && Contains("fp8_e4m3 or i8 if it has scales"));
  test.a.dtype = DType::fp8_e4m3;
  test.b.dtype = DType::fp8_e4m3;
  CHECK_THAT(error_of(test), Contains("'b_scales'"));
  test.b_scales = TensorView::contiguous(memory, DType::f32, {60, 95});
  CHECK_THAT(error_of(test), Contains("'b_scales'") && Contains("[60, 96] or [60]"));
  test.b_scales = TensorView::contiguous(memory, DType::f32, {60, 96});
  test.a_scales = TensorView::contiguous(memory, DType::f32, {4});
  CHECK_THAT(error_of(test), Contains("'a_scales'") && Contains("[5]"));
  test = good();
  test.a.shape[1] = 65537;
  CHECK_THAT(error_of(test), Contains("65537") && Contains("65536"));
}

TEST_CASE("tiles of grouped_gemm hold the slots of an expert, so that its matrix is read once") {
  const OpDefinition& op = definition_of<moe::GroupedGemm>();
  const Specialisation spec =
      specialise(op, {{"n", "4096"}, {"k", "7168"}, {"experts", "256"}, {"top_k", "8"}});
  const DeviceTraits h100{.sm = 90, .sm_count = 132, .max_shared_per_block = 232448};
  for (const std::int64_t rows : {1, 8, 16, 33, 64}) {
    CHECK(tunable_of(op, op.default_tunables(spec, h100, rows), "tile_m") >= rows);
  }
}

TEST_CASE("the warps of a tile have parts that are whole and nearly square") {
  const moe::GemmTile large(128, 128, 128, 128, 4, 8);
  CHECK(large.warp_rows() == 32);
  CHECK(large.warp_columns() == 64);
  const moe::GemmTile decode(8, 128, 128, 128, 4, 4);
  CHECK(decode.warp_rows() == 8);
  CHECK(decode.warp_columns() == 32);
  CHECK(moe::GemmTile(64, 32, 128, 128, 4, 8).is_whole());
  CHECK_FALSE(moe::GemmTile(8, 32, 128, 128, 4, 8).is_whole());
}

TEST_CASE("a limit makes another kernel of silu_and_mul alone") {
  const OpDefinition& op = definition_of<moe::GroupedGemm>();
  const auto limited = [&](const char* activation) {
    return format_specialisation(
        op,
        specialise(
            op,
            {{"n", "96"}, {"k", "128"}, {"experts", "8"}, {"activation", activation}, {"limit", "true"}}));
  };
  CHECK(limited("silu_and_mul") == "n=96 k=128 experts=8 activation=silu_and_mul limit=true");
  for (const char* activation : {"swiglu_oai", "gelu_and_mul"}) {
    CHECK_THAT(message_of([&] { static_cast<void>(limited(activation)); }),
               Contains("limit is true") && Contains("only silu_and_mul differs with one"));
  }
}

TEST_CASE("grouped_gemm has both products of a model's experts, in the type of their matrices") {
  const OpDefinition& op = definition_of<moe::GroupedGemm>();
  ModelConfig model = deepseek_v3();
  CHECK(op.model_cases(model).empty());
  const auto spec = [&](const ModelCase& item) {
    return format_specialisation(op, specialise(op, item.params));
  };
  model.expert_matrices = {ExpertMatrices::fp8_blocks};
  std::vector<ModelCase> cases = op.model_cases(model);
  REQUIRE(cases.size() == 2);
  CHECK(spec(cases[0]) ==
        "a_dtype=fp8_e4m3 b_dtype=fp8_e4m3 n=4096 k=7168 experts=256 top_k=8 has_scales=true "
        "activation=silu_and_mul scale_form=blocks");
  CHECK(spec(cases[1]) ==
        "a_dtype=fp8_e4m3 b_dtype=fp8_e4m3 n=7168 k=2048 experts=256 has_weights=true has_scales=true "
        "scale_form=blocks");
  model.expert_matrices = {ExpertMatrices::plain, ExpertMatrices::fp8};
  model.expert_ranks = 8;
  cases = op.model_cases(model);
  REQUIRE(cases.size() == 4);
  CHECK(spec(cases[0]) == "n=4096 k=7168 experts=32 top_k=8 activation=silu_and_mul");
  CHECK(spec(cases[3]) ==
        "a_dtype=fp8_e4m3 b_dtype=fp8_e4m3 n=7168 k=2048 experts=32 has_weights=true has_scales=true");
  check_cases(op, model);
  model.expert_matrices = {ExpertMatrices::int8, ExpertMatrices::int4, ExpertMatrices::mxfp4};
  cases = op.model_cases(model);
  REQUIRE(cases.size() == 6);
  CHECK(spec(cases[0]) ==
        "a_dtype=i8 b_dtype=i8 n=4096 k=7168 experts=32 top_k=8 has_scales=true activation=silu_and_mul");
  CHECK(spec(cases[3]) ==
        "b_dtype=u8 n=7168 k=2048 experts=32 has_weights=true has_scales=true scale_form=int4");
  CHECK(spec(cases[4]) ==
        "b_dtype=u8 n=4096 k=7168 experts=32 top_k=8 has_scales=true activation=silu_and_mul "
        "scale_form=mxfp4");
  check_cases(op, model);
  // Scales of 32 elements fit no other rows.
  model.hidden = 7184;
  CHECK(op.model_cases(model).size() == 2);
  model.hidden = 7168;
  model.experts = 0;
  CHECK(op.model_cases(model).empty());
}
