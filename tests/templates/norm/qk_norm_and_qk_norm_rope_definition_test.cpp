#include <catch2/catch.hpp>
#include <limits>
#include <set>

#include <kerncast/ops/norm/qk_norm_rope.hpp>
#include "templates/norm/qk_norm/spec_index.hpp"
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;

namespace {

norm::QkNormRope good() {
  norm::QkNormRope made;
  made.norm = {.qkv = TensorView::contiguous(memory, DType::bf16, {5, 112, 128}),
               .q_weight = TensorView::contiguous(memory, DType::bf16, {128}),
               .k_weight = TensorView::contiguous(memory, DType::bf16, {128}),
               .q_heads = 96,
               .kv_heads = 8};
  made.cos_sin = TensorView::contiguous(memory, DType::f32, {1000, 64});
  made.positions = TensorView::contiguous(memory, DType::i64, {5});
  return made;
}

std::int32_t alignment(const norm::QkNormRope& arguments) {
  return bind(arguments).spec[norm::qk_norm_params::alignment];
}

}  // namespace

TEST_CASE("qk_norm and qk_norm_rope derive their specialisations from the tensors") {
  norm::QkNormRope test = good();
  CHECK(format_specialisation(definition_of<norm::QkNorm>(), bind(test.norm).spec) ==
        "q_heads=96 kv_heads=8 head_dim=128");
  const Call call = bind(test);
  CHECK(format_specialisation(definition_of<norm::QkNormRope>(), call.spec) ==
        "q_heads=96 kv_heads=8 head_dim=128 rotary_dim=64");
  CHECK(call.rows == 5);
  test.norm.unit_offset = true;
  test.style = norm::RopeStyle::interleaved;
  test.positions.dtype = DType::i32;
  CHECK(format_specialisation(definition_of<norm::QkNormRope>(), bind(test).spec) ==
        "q_heads=96 kv_heads=8 head_dim=128 unit_offset=true rotary_dim=64 rope_style=interleaved "
        "position_dtype=i32");
}

TEST_CASE("qk_norm_rope takes the widest access that keeps what turns together in a thread") {
  norm::QkNormRope test = good();
  CHECK(alignment(test) == 16);
  test.norm.qkv.strides[0] += 4;
  CHECK(alignment(test) == 8);
  test = good();
  test.cos_sin = TensorView::contiguous(memory, DType::f32, {1000, 8});
  CHECK(alignment(test) == 8);
  test.style = norm::RopeStyle::interleaved;
  CHECK(alignment(test) == 16);
  test = good();
  test.cos_sin.data = memory + 8;
  CHECK(alignment(test) == 4);
  test = good();
  test.norm.k_weight.data = memory + 4;
  CHECK(alignment(test) == 4);
}

TEST_CASE("qk_norm_rope computes angles if it is given inverse frequencies") {
  norm::QkNormRope test = good();
  test.cos_sin = {};
  test.inv_freq = TensorView::contiguous(memory, DType::f32, {32});
  CHECK(format_specialisation(definition_of<norm::QkNormRope>(), bind(test).spec) ==
        "q_heads=96 kv_heads=8 head_dim=128 rotary_dim=64 angles=computed");
  CHECK(alignment(test) == 16);
  test.inv_freq.data = memory + 4;
  CHECK(alignment(test) == 2);
  test.attention_factor = std::numeric_limits<float>::infinity();
  CHECK_THAT(error_of(test), Contains("attention_factor is inf"));
  test.attention_factor = 1;
  test.inv_freq.shape[0] = 65;
  CHECK_THAT(error_of(test), Contains("'inv_freq'") && Contains("from 1 to 64"));
  test.inv_freq.shape[0] = 32;
  test.inv_freq.dtype = DType::bf16;
  CHECK_THAT(error_of(test), Contains("'inv_freq'") && Contains("f32"));
  test.inv_freq.dtype = DType::f32;
  test.cos_sin = good().cos_sin;
  CHECK_THAT(error_of(test), Contains("both cos_sin and inv_freq"));
  test.cos_sin = test.inv_freq = {};
  CHECK_THAT(error_of(test), Contains("'cos_sin'"));
}

TEST_CASE("qk_norm_rope names what is wrong with a call") {
  norm::QkNormRope test = good();
  test.norm.qkv.dtype = DType::i8;
  CHECK_THAT(error_of(test), Contains("norm.qk_norm_rope") && Contains("'qkv'") && Contains("i8"));
  test = good();
  test.norm.q_heads = 95;
  CHECK_THAT(error_of(test), Contains("111 heads") && Contains("q_heads = 95"));
  test = good();
  test.norm.q_heads = 0;
  CHECK_THAT(error_of(test), Contains("q_heads is 0") && Contains("from 1 to 1024"));
  test = good();
  test.norm.kv_heads = 2000;
  CHECK_THAT(error_of(test), Contains("kv_heads is 2000"));
  test = good();
  test.norm.qkv.data = nullptr;
  CHECK_THAT(error_of(test), Contains("'qkv'") && Contains("null"));
  test = good();
  test.norm.qkv.strides[2] = 2;
  CHECK_THAT(error_of(test), Contains("'qkv'") && Contains("not contiguous"));
  test = good();
  test.norm.qkv.strides[1] = 64;
  CHECK_THAT(error_of(test), Contains("'qkv'") && Contains("overlap"));
  test = good();
  test.norm.qkv.strides[0] = 128;
  CHECK_THAT(error_of(test), Contains("'qkv'") && Contains("overlap"));
  test = good();
  test.norm.qkv.rank = 1;
  CHECK_THAT(error_of(test), Contains("'qkv'") && Contains("q_heads + 2 * kv_heads"));
  test = good();
  test.norm.qkv.data = memory + 1;
  CHECK_THAT(error_of(test), Contains("'qkv'") && Contains("multiple of its element's 2 bytes"));
  test = good();
  test.norm.k_weight.dtype = DType::f32;
  CHECK_THAT(error_of(test), Contains("'k_weight'") && Contains("bf16, as q_weight is"));
  test = good();
  test.norm.q_weight.shape[0] = 64;
  CHECK_THAT(error_of(test), Contains("'q_weight'") && Contains("[128]"));
  test = good();
  test.norm.q_weight = {};
  CHECK_THAT(error_of(test), Contains("'q_weight'"));
  test = good();
  test.norm.eps = -1.0F;
  CHECK_THAT(error_of(test), Contains("eps is -1"));
  test = good();
  test.cos_sin.dtype = DType::bf16;
  CHECK_THAT(error_of(test), Contains("'cos_sin'") && Contains("f32"));
  test = good();
  test.cos_sin.shape[1] = 130;
  CHECK_THAT(error_of(test), Contains("'cos_sin'") && Contains("from 2 to 128"));
  test = good();
  test.cos_sin.shape[1] = 63;
  CHECK_THAT(error_of(test), Contains("'cos_sin'") && Contains("even"));
  test = good();
  test.positions.shape[0] = 4;
  CHECK_THAT(error_of(test), Contains("'positions'") && Contains("5 contiguous"));
  test = good();
  test.positions.strides[0] = 2;
  CHECK_THAT(error_of(test), Contains("'positions'") && Contains("not contiguous"));
  test = good();
  test.positions.dtype = DType::f32;
  CHECK_THAT(error_of(test), Contains("'positions'") && Contains("i32 or i64"));
  test = good();
  test.positions.device = 1;
  CHECK_THAT(error_of(test), Contains("device 1") && Contains("device 0"));
  test = good();
  test.norm.qkv = TensorView::contiguous(memory, DType::bf16, {5, 112, 2000});
  CHECK_THAT(error_of(test), Contains("2000") && Contains("nearest valid: 1024"));
}

TEST_CASE("qk_norm of no tokens needs no memory") {
  norm::QkNormRope test = good();
  test.norm.qkv = TensorView::contiguous(nullptr, DType::bf16, {0, 112, 128});
  test.norm.q_weight.data = nullptr;
  test.norm.k_weight.data = nullptr;
  test.cos_sin.data = nullptr;
  test.positions = TensorView::contiguous(nullptr, DType::i64, {0});
  CHECK(bind(test.norm).rows == 0);
  CHECK(bind(test).rows == 0);
}

TEST_CASE("qk_norm_rope checks settings against the tensors and one another") {
  const OpDefinition& op = definition_of<norm::QkNormRope>();
  const norm::QkNormRope given = good();
  Bindings bindings;
  bindings.set_tensor("qkv", given.norm.qkv);
  bindings.set_tensor("q_weight", given.norm.q_weight);
  bindings.set_tensor("k_weight", given.norm.k_weight);
  bindings.set_tensor("cos_sin", given.cos_sin);
  bindings.set_tensor("positions", given.positions);
  CHECK_THAT(message_of([&] { static_cast<void>(op.bind(bindings)); }), Contains("q_heads is required"));
  bindings.set_param("q_heads", "96");
  bindings.set_param("kv_heads", "8");
  CHECK(op.bind(bindings).spec == bind(given).spec);
  bindings.set_param("alignment", "4");
  CHECK(op.bind(bindings).spec[norm::qk_norm_params::alignment] == 4);
  bindings.set_param("rotary_dim", "128");
  CHECK_THAT(message_of([&] { static_cast<void>(op.bind(bindings)); }),
             Contains("rotary_dim") && Contains("64"));
  const auto refusal = [&](std::string dim, std::string rotary) {
    return message_of([&] {
      static_cast<void>(specialise(op, {{"q_heads", "4"},
                                        {"kv_heads", "1"},
                                        {"head_dim", std::move(dim)},
                                        {"rotary_dim", std::move(rotary)}}));
    });
  };
  CHECK_THAT(refusal("64", "128"), Contains("rotary_dim is 128") && Contains("nearest valid: 64"));
  CHECK_THAT(refusal("64", "8"), Contains("alignment = 16") && Contains("widest valid: 8"));
  CHECK_THAT(refusal("100", "64"), Contains("alignment = 16") && Contains("widest valid: 8"));
}

TEST_CASE("qk_norm and qk_norm_rope know the models") {
  ModelConfig glm;
  glm.head_norms = {
      {.place = "q_norm, k_norm", .q_heads = 96, .kv_heads = 8, .head_dim = 128, .rotary_dim = 64}};
  for (const OpDefinition* op : {&definition_of<norm::QkNorm>(), &definition_of<norm::QkNormRope>()}) {
    CHECK(widths_of(*op, glm, "q_heads") == std::set<std::string>{"96"});
    check_cases(*op, glm);
    CHECK(op->model_cases(deepseek_v3()).empty());
  }
  CHECK(widths_of(definition_of<norm::QkNormRope>(), glm, "rotary_dim") == std::set<std::string>{"64"});
  glm.head_norms[0].head_dim = 32;
  glm.head_norms[0].rotary_dim = 8;
  check_cases(definition_of<norm::QkNormRope>(), glm);
  CHECK(widths_of(definition_of<norm::QkNormRope>(), glm, "alignment") == std::set<std::string>{"8"});
  glm.head_norms[0].rotary_dim = 0;
  CHECK(definition_of<norm::QkNormRope>().model_cases(glm).empty());
}
