#include <kerncast/ops/moe/layer.hpp>

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>

#include <kerncast/ops/moe/align_block_size.hpp>
#include "tests/templates/definition_fixture.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;

namespace {

/// A model's experts on one rank.
struct Shape {
  const char* name;
  std::int64_t experts;
  std::int64_t top_k;
  std::int64_t hidden;
  std::int64_t width;
  DType weights;
};

// The experts of DeepSeek V3 and Kimi K2 over 8 and 16 ranks, which their ids name as 256 and 384.
constexpr Shape shapes[] = {{"DeepSeek V3", 256, 8, 7168, 2048, DType::fp8_e4m3},
                            {"DeepSeek V3, one of 8 ranks", 32, 8, 7168, 2048, DType::fp8_e4m3},
                            {"Kimi K2", 384, 8, 7168, 2048, DType::fp8_e4m3},
                            {"GLM 4.5", 160, 8, 5120, 1536, DType::bf16},
                            {"DeepSeek R1 in int8", 256, 8, 7168, 2048, DType::i8},
                            {"Kimi K2 Thinking", 384, 8, 7168, 2048, DType::u8},
                            {"gpt-oss 120B", 128, 4, 2880, 2880, DType::u8},
                            {"Mixtral 8x7B", 8, 2, 4096, 14336, DType::bf16},
                            {"Qwen3 235B A22B", 128, 8, 4096, 1536, DType::bf16},
                            {"Qwen3 30B A3B", 128, 8, 2048, 768, DType::bf16}};

bool is_quantised(const Shape& of) {
  return of.weights == DType::fp8_e4m3 || of.weights == DType::i8;
}

moe::Layer layer_of(const Shape& of, std::int64_t tokens) {
  const bool is_packed = of.weights == DType::u8;
  const std::int64_t packed = is_packed ? 2 : 1;
  moe::Layer made{
      .x = TensorView::contiguous(memory, is_quantised(of) || is_packed ? DType::bf16 : of.weights,
                                  {tokens, of.hidden}),
      .w13 = TensorView::contiguous(memory, of.weights, {of.experts, 2 * of.width, of.hidden / packed}),
      .w2 = TensorView::contiguous(memory, of.weights, {of.experts, of.hidden, of.width / packed}),
      .y = TensorView::contiguous(memory, DType::bf16, {tokens, of.hidden}),
      .workspace = {},
      .gate = moe::LayerGate::topk_softmax,
      .logits = TensorView::contiguous(memory, DType::f32, {tokens, of.experts}),
      .top_k = static_cast<int>(of.top_k)};
  if (is_quantised(of)) {
    made.w13_scales = TensorView::contiguous(memory, DType::f32, {of.experts});
    made.w2_scales = TensorView::contiguous(memory, DType::f32, {of.experts});
  }
  if (is_packed) {
    made.w13_scales =
        TensorView::contiguous(memory, DType::ue8m0, {of.experts, 2 * of.width, of.hidden / 32});
    made.w2_scales = TensorView::contiguous(memory, DType::ue8m0, {of.experts, of.hidden, of.width / 32});
  }
  made.workspace = TensorView::contiguous(memory, DType::u8, {std::int64_t{1} << 40U});
  return made;
}

/// A layer that launches, but for its memory.
moe::Layer layer() {
  return layer_of({"small", 8, 2, 64, 32, DType::bf16}, 5);
}

moe::Layer fp8_layer() {
  return layer_of({"small", 8, 2, 64, 32, DType::fp8_e4m3}, 5);
}

moe::Layer packed_layer() {
  return layer_of({"small", 8, 2, 64, 32, DType::u8}, 5);
}

/// The message of the error that a launch of `call` gives; nothing has been enqueued then.
std::string error_of(const moe::Layer& call) {
  Runtime none;
  return message_of([&] { launch(none, call, nullptr); });
}

}  // namespace

TEST_CASE("the workspace of a layer is as large as what must exist at a time") {
  const bool blocks = GENERATE(false, true);
  for (const Shape& of : shapes) {
    for (const std::int64_t tokens : {1, 3, 64, 1000, 8192}) {
      const std::int64_t slots = tokens * of.top_k;
      const std::int64_t places = moe::align_block_size_places(slots, static_cast<int>(of.experts), 64);
      const std::int64_t routing = 8 * slots + 4 * (places + places / 64 + 1);
      const std::int64_t first = 2 * slots * of.width;
      const std::int64_t second = 2 * slots * of.hidden;
      const bool in_blocks = blocks && of.weights == DType::fp8_e4m3;
      std::int64_t rows = first + second;
      if (is_quantised(of)) {
        const std::int64_t x = tokens * (of.hidden + (in_blocks ? of.hidden / 32 : 4));
        const std::int64_t quantised = slots * (of.width + (in_blocks ? of.width / 32 : 4));
        rows = std::max({x + first, first + quantised, quantised + second});
      }
      moe::Layer call = layer_of(of, tokens);
      if (in_blocks) {
        call.w13_scales =
            TensorView::contiguous(memory, DType::f32, {of.experts, of.width / 64, of.hidden / 128});
        call.w2_scales =
            TensorView::contiguous(memory, DType::f32, {of.experts, of.hidden / 128, of.width / 128});
      }
      const std::int64_t bytes = moe::layer_workspace(call);
      INFO(of.name << ", " << tokens << " tokens: " << bytes << " bytes for " << routing + rows);
      CHECK(bytes >= routing + rows);
      CHECK(static_cast<double>(bytes) <= 1.05 * static_cast<double>(routing + rows));
    }
  }
  CHECK(moe::layer_workspace(layer_of(shapes[0], 0)) == 0);
}

TEST_CASE("the workspace of a layer grows with its tokens") {
  std::int64_t before = 0;
  for (std::int64_t tokens = 0; tokens < 300; ++tokens) {
    const std::int64_t bytes = moe::layer_workspace(layer_of(shapes[0], tokens));
    CHECK(bytes >= before);
    before = bytes;
  }
}

TEST_CASE("a layer without tokens launches nothing and needs no memory") {
  moe::Layer call = layer_of({"small", 8, 2, 64, 32, DType::bf16}, 0);
  call.workspace = {};
  Runtime none;
  CHECK_NOTHROW(launch(none, call, nullptr));
  CHECK_NOTHROW(prepare(none, call).launch(nullptr));
}

TEST_CASE("a layer names what is wrong with its rows and matrices") {
  moe::Layer call = layer();
  call.x.rank = 1;
  CHECK_THAT(error_of(call), Contains("moe.layer: tensor 'x'") && Contains("[tokens, hidden]"));
  call = layer();
  call.x.dtype = DType::f16;
  CHECK_THAT(error_of(call), Contains("'x' is f16, but must be bf16, as w13"));
  call = layer();
  call.w13.dtype = DType::i32;
  CHECK_THAT(error_of(call), Contains("'w13' is i32, but must be bf16, f16, fp8_e4m3, i8, or u8"));
  call = layer();
  call.w2.dtype = DType::f16;
  CHECK_THAT(error_of(call), Contains("'w2' is f16, but must be bf16, as w13"));
  call = layer();
  call.w13.shape[1] = 63;
  CHECK_THAT(error_of(call), Contains("'w13'") && Contains("63") && Contains("2 * width, 64"));
  call = layer();
  call.w13.shape[2] = 72;
  CHECK_THAT(error_of(call), Contains("'w13'") && Contains("72") && Contains("last dimension of x"));
  call = layer();
  call.w2.shape[0] = 7;
  CHECK_THAT(error_of(call), Contains("'w2'") && Contains("[8, 64, 32], after w13"));
  call = layer();
  call.w13.rank = 2;
  CHECK_THAT(error_of(call), Contains("'w13'") && Contains("[experts, 2 * width, hidden]"));
  call = layer();
  call.y.shape[0] = 4;
  CHECK_THAT(error_of(call), Contains("'y'") && Contains("shape of x"));
  call = layer();
  call.y.dtype = DType::i8;
  CHECK_THAT(error_of(call), Contains("'y' is i8"));
  call = layer();
  call.w2.data = static_cast<std::byte*>(call.w2.data) + 1;
  CHECK_THAT(error_of(call), Contains("its second product, of the first (a) and w2 (b)") &&
                                 Contains("multiple of its element's 2 bytes"));
  call = layer();
  call.x.shape[0] = call.y.shape[0] = call.logits.shape[0] = std::int64_t{1} << 31U;
  CHECK_THAT(error_of(call), Contains("tokens") && Contains("2147483648") && Contains("1073741823"));
}

TEST_CASE("a layer names what is wrong with its routing") {
  moe::Layer call = layer();
  call.logits = TensorView::contiguous(memory, DType::f32, {5, 12});
  CHECK_THAT(error_of(call), Contains("chooses among 12 experts") && Contains("w13 has 8"));
  call.expert_map = TensorView::contiguous(memory, DType::i32, {10});
  CHECK_THAT(error_of(call), Contains("chooses among 12 experts") && Contains("expert_map has 10"));
  call = layer();
  call.logits = {};
  CHECK_THAT(error_of(call), Contains("'logits' is missing"));
  call = layer();
  call.logits.shape[0] = 4;
  CHECK_THAT(error_of(call), Contains("'logits'") && Contains("[5, experts]"));
  call = layer();
  call.top_k = 65;
  CHECK_THAT(error_of(call), Contains("top_k is 65") && Contains("nearest valid: 64"));
  call = layer();
  call.block = 0;
  CHECK_THAT(error_of(call), Contains("block is 0") && Contains("nearest valid: 1"));
  call = layer();
  call.gate = moe::LayerGate::given;
  CHECK_THAT(error_of(call), Contains("'ids' is missing"));
  call.ids = TensorView::contiguous(memory, DType::i32, {5, 2});
  call.weights = TensorView::contiguous(memory, DType::f32, {4, 2});
  CHECK_THAT(error_of(call), Contains("'weights'") && Contains("[5, K]"));
  call.weights = TensorView::contiguous(memory, DType::f32, {5, 2});
  call.num_token_non_padded = TensorView::contiguous(memory, DType::i32, {1});
  CHECK_THAT(error_of(call), Contains("num_token_non_padded is for the gates"));
  call = layer();
  call.gate = moe::LayerGate::fused_gate;
  call.bias = TensorView::contiguous(memory, DType::f32, {8});
  call.groups = 3;
  CHECK_THAT(error_of(call), Contains("moe.layer, its gate: moe.fused_gate") && Contains("groups is 3"));
  call = layer();
  call.routed_scaling_factor = std::numeric_limits<float>::infinity();
  CHECK_THAT(error_of(call), Contains("moe.layer, its sum") && Contains("routed_scaling_factor is inf"));
}

TEST_CASE("a layer names what is wrong with its scales") {
  moe::Layer call = fp8_layer();
  call.w13_scales = {};
  CHECK_THAT(error_of(call), Contains("moe.layer, its first product, of x (a) and w13 (b)") &&
                                 Contains("'b_scales' is missing"));
  call = fp8_layer();
  call.w2_scales = TensorView::contiguous(memory, DType::f32, {7});
  CHECK_THAT(error_of(call), Contains("its second product") && Contains("'b_scales'") && Contains("[7]") &&
                                 Contains("[8, 64] or [8]"));
  call = fp8_layer();
  call.x_scales = TensorView::contiguous(memory, DType::f32, {5});
  CHECK_THAT(error_of(call), Contains("'x' is bf16, but must be fp8_e4m3, as w13, to have x_scales"));
  call = layer();
  call.w13_scales = TensorView::contiguous(memory, DType::f32, {8});
  CHECK_THAT(error_of(call), Contains("its first product") && Contains("fp8"));
  // Scales of blocks are for rows that are quantised by groups of 128.
  call = layer_of({"small", 8, 2, 256, 128, DType::fp8_e4m3}, 5);
  call.w13_scales = TensorView::contiguous(memory, DType::f32, {8, 2, 3});
  CHECK_THAT(error_of(call),
             Contains("its first product") && Contains("'b_scales'") && Contains("[8, 2, 3]"));
  call = fp8_layer();
  call.w13_scales = TensorView::contiguous(memory, DType::f32, {8, 1, 1});
  CHECK_THAT(error_of(call), Contains("its quantisation of x") && Contains("64") && Contains("128"));
}

TEST_CASE("a layer names what is wrong with its matrices of int8") {
  const moe::Layer int8_layer = layer_of({"small", 8, 2, 64, 32, DType::i8}, 5);
  CHECK(moe::layer_workspace(int8_layer) == moe::layer_workspace(fp8_layer()));
  moe::Layer call = int8_layer;
  call.x.dtype = DType::fp8_e4m3;
  CHECK_THAT(error_of(call), Contains("'x' is fp8_e4m3, but must be bf16, f16, f32 or i8"));
  call = int8_layer;
  call.x_scales = TensorView::contiguous(memory, DType::f32, {5});
  CHECK_THAT(error_of(call), Contains("'x' is bf16, but must be i8, as w13, to have x_scales"));
  call.x.dtype = DType::i8;
  call.x_scales.shape[0] = 4;
  CHECK_THAT(error_of(call), Contains("its first product") && Contains("'a_scales'") && Contains("[4]"));
  call = int8_layer;
  call.w2.dtype = DType::fp8_e4m3;
  CHECK_THAT(error_of(call), Contains("'w2' is fp8_e4m3, but must be i8, as w13"));
  call = int8_layer;
  call.w2_scales = {};
  CHECK_THAT(error_of(call), Contains("its second product") && Contains("'b_scales' is missing"));
  call = layer_of({"small", 8, 2, 256, 128, DType::i8}, 5);
  call.w13_scales = TensorView::contiguous(memory, DType::f32, {8, 2, 2});
  CHECK_THAT(error_of(call), Contains("its first product") && Contains("'a' is i8, but must be fp8_e4m3"));
}

TEST_CASE("a layer names what is wrong with its matrices of 4 bits") {
  moe::Layer call = packed_layer();
  call.w13_scales.dtype = call.w2_scales.dtype = DType::bf16;
  CHECK(moe::layer_workspace(call) == moe::layer_workspace(layer()));
  call = packed_layer();
  call.x.dtype = DType::f32;
  CHECK_THAT(error_of(call), Contains("'x' is f32, but must be bf16 or f16 if w13 is u8"));
  call = packed_layer();
  call.w2.dtype = DType::i8;
  CHECK_THAT(error_of(call), Contains("'w2' is i8, but must be u8, as w13"));
  call = packed_layer();
  call.w13.shape[2] = 64;
  CHECK_THAT(error_of(call), Contains("'w13'") && Contains("[8, 64, 64]") &&
                                 Contains("[experts, 2 * width, 32], half of the last dimension of x"));
  call = packed_layer();
  call.w2.shape[2] = 32;
  CHECK_THAT(error_of(call), Contains("'w2'") && Contains("[8, 64, 32]") &&
                                 Contains("[8, 64, 16], after w13, two values to a byte"));
  call = layer_of({"small", 8, 2, 90, 32, DType::u8}, 5);
  CHECK_THAT(error_of(call), Contains("moe.layer: the last dimension of x (hidden) is 90") &&
                                 Contains("multiple of 32") && Contains("nearest valid: 64"));
  call = layer_of({"small", 8, 2, 64, 24, DType::u8}, 5);
  CHECK_THAT(error_of(call), Contains("moe.layer: half of the second dimension of w13 (width) is 24") &&
                                 Contains("multiple of 32") && Contains("nearest valid: 32"));
  call = packed_layer();
  call.w13_scales = {};
  CHECK_THAT(error_of(call), Contains("its first product") && Contains("'b_scales' is missing"));
  call = packed_layer();
  call.w2_scales.dtype = DType::f32;
  CHECK_THAT(error_of(call), Contains("its second product") && Contains("'b_scales' is f32") &&
                                 Contains("ue8m0 (b is fp4 e2m1) or bf16 (b is int4)"));
  call = packed_layer();
  call.w2_scales.shape[2] = 2;
  CHECK_THAT(error_of(call), Contains("its second product") && Contains("[8, 64, 2]") &&
                                 Contains("[8, 64, 1], one for each 32 elements"));
  call = packed_layer();
  call.x_scales = TensorView::contiguous(memory, DType::f32, {5});
  CHECK_THAT(error_of(call), Contains("its first product") && Contains("a_scales is given"));
}

TEST_CASE("a layer names what is wrong with its activation and biases") {
  moe::Layer call = layer();
  call.activation = moe::GemmActivation::none;
  CHECK_THAT(error_of(call), Contains("moe.layer: activation is none"));
  call = layer();
  call.limit = -1;
  CHECK_THAT(error_of(call), Contains("its first product") && Contains("limit is -1"));
  call = layer();
  call.w2_bias = TensorView::contiguous(memory, DType::bf16, {8, 63});
  CHECK_THAT(error_of(call), Contains("its second product") && Contains("'bias'") && Contains("[8, 63]"));
}

TEST_CASE("a layer names what is wrong with its workspace") {
  moe::Layer call = layer();
  const std::int64_t bytes = moe::layer_workspace(call);
  call.workspace.shape[0] = bytes - 1;
  CHECK_THAT(error_of(call), Contains("moe.layer: workspace has " + std::to_string(bytes - 1) + " bytes") &&
                                 Contains("5 tokens") && Contains("need " + std::to_string(bytes)));
  call.workspace = {};
  CHECK_THAT(error_of(call), Contains("'workspace' is missing"));
  call = layer();
  call.workspace.data = static_cast<std::byte*>(call.workspace.data) + 64;
  CHECK_THAT(error_of(call), Contains("workspace is not a multiple of 128"));
  call = layer();
  call.workspace.strides[0] = 2;
  CHECK_THAT(error_of(call), Contains("'workspace'") && Contains("contiguous"));
  call = layer();
  call.workspace.data = call.w2.data;
  CHECK_THAT(error_of(call), Contains("'workspace'") && Contains("'w2'"));
  call = layer();
  call.y = call.w13;
  call.y.rank = 2;
  call.y.shape = {5, 64};
  call.y.strides = {64, 1};
  CHECK_THAT(error_of(call), Contains("'y'") && Contains("'w13'"));
  call = layer();
  call.workspace.device = 1;
  CHECK_THAT(error_of(call), Contains("'workspace' is on device 1"));
}
