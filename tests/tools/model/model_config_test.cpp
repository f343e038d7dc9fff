#include "tools/model/model_config.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <string>

#include "kerncast/error.hpp"
#include "tests/temporary_directory.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/shipped_models.hpp"

namespace kerncast::tools {
namespace {

/// The expected sizes of a published model.
struct Published {
  std::int64_t hidden;
  std::int64_t moe_intermediate;
  std::int64_t intermediate;
  std::int64_t experts, top_k, groups, topk_group, shared;
  double scaling;
  std::int64_t heads, kv_heads, head_dim;
  double eps;
  bool sigmoid, qk_norm, layer_norm;
};

const std::map<std::string, Published> published = {
    {"deepseek-v3", {7168, 2048, 18432, 256, 8, 8, 4, 1, 2.5, 128, 128, 192, 1e-6, true, false, false}},
    {"deepseek-r1", {7168, 2048, 18432, 256, 8, 8, 4, 1, 2.5, 128, 128, 192, 1e-6, true, false, false}},
    {"kimi-k2", {7168, 2048, 18432, 384, 8, 1, 1, 1, 2.827, 64, 64, 192, 1e-6, true, false, false}},
    {"qwen3-30b-a3b", {2048, 768, 0, 128, 8, 0, 0, 0, 1.0, 32, 4, 128, 1e-6, false, true, false}},
    {"qwen3-235b-a22b", {4096, 1536, 0, 128, 8, 0, 0, 0, 1.0, 64, 4, 128, 1e-6, false, true, false}},
    {"gpt-oss-120b", {2880, 2880, 0, 128, 4, 0, 0, 0, 1.0, 64, 8, 64, 1e-5, false, false, false}},
    {"glm-4.5", {5120, 1536, 12288, 160, 8, 1, 1, 1, 2.5, 96, 8, 128, 1e-5, true, true, false}},
    {"mixtral-8x7b", {4096, 14336, 0, 8, 2, 0, 0, 0, 1.0, 32, 8, 128, 1e-5, false, false, false}},
    {"llama-3-8b", {4096, 0, 14336, 0, 0, 0, 0, 0, 1.0, 32, 8, 128, 1e-5, false, false, false}},
    {"llama-3-70b", {8192, 0, 28672, 0, 0, 0, 0, 0, 1.0, 64, 8, 128, 1e-5, false, false, false}},
    {"flux.1", {3072, 0, 0, 0, 0, 0, 0, 0, 1.0, 24, 24, 128, 1e-6, false, true, true}},
    {"qwen-image", {3072, 0, 0, 0, 0, 0, 0, 0, 1.0, 24, 24, 128, 1e-6, false, true, true}},
    {"wan2.2-a14b", {5120, 0, 13824, 0, 0, 0, 0, 0, 1.0, 40, 40, 128, 1e-6, false, false, true}},
};

ModelConfig parse(const std::string& text) {
  return parse_model_config(text, "config.json", "test");
}

std::string refusal(const std::string& text) {
  try {
    static_cast<void>(parse(text));
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::io_error);
    return error.what();
  }
  return "accepted";
}

TEST_CASE("the shipped models have their published sizes") {
  REQUIRE(shipped_models().size() == published.size());
  for (const auto& [name, expected] : published) {
    INFO(name);
    const ModelConfig model = load_model_config(name);
    CHECK(model.name == name);
    CHECK(model.dtype == DType::bf16);
    CHECK(model.hidden == expected.hidden);
    CHECK(model.moe_intermediate == expected.moe_intermediate);
    CHECK(model.intermediate == expected.intermediate);
    CHECK(model.experts == expected.experts);
    CHECK(model.top_k == expected.top_k);
    CHECK(model.groups == expected.groups);
    CHECK(model.topk_group == expected.topk_group);
    CHECK(model.shared_experts == expected.shared);
    CHECK(model.routed_scaling_factor == expected.scaling);
    CHECK(model.heads == expected.heads);
    CHECK(model.kv_heads == expected.kv_heads);
    CHECK(model.head_dim == expected.head_dim);
    CHECK(model.norm_eps == expected.eps);
    CHECK(model.sigmoid_gate == expected.sigmoid);
    CHECK(model.qk_norm == expected.qk_norm);
    CHECK(model.layer_norm == expected.layer_norm);
    CHECK(model.norm_weight_offset == 0.0);
    CHECK(model.renormalize);
  }
  CHECK(load_model_config("deepseek-v3").q_lora_rank == 1536);
  CHECK(load_model_config("deepseek-v3").kv_lora_rank == 512);
  CHECK(load_model_config("deepseek-v3").architecture == "DeepseekV3ForCausalLM");
  CHECK(load_model_config("flux.1").architecture == "FluxTransformer2DModel");
}

TEST_CASE("shipped names are found in any case; a wrong one suggests the nearest") {
  CHECK(load_model_config("DeepSeek-V3").hidden == 7168);
  CHECK(load_model_config("FLUX.1").hidden == 3072);
  CHECK_THROWS_AS(load_model_config("deepsek-v3"), UsageError);
  CHECK_THROWS_WITH(load_model_config("deepsek-v3"), Catch::Contains("did you mean deepseek-v3?"));
  CHECK_THROWS_WITH(load_model_config("zzz"), Catch::Contains("mixtral-8x7b"));
}

TEST_CASE("a path is a config.json or a directory that holds one") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("config.json", R"({"hidden_size": 1024, "model_type": "llama"})");
  CHECK(load_model_config(path).hidden == 1024);
  CHECK(load_model_config(directory.path()).hidden == 1024);
  CHECK(load_model_config(directory.path() + "/").hidden == 1024);
  CHECK(directory.path().ends_with(load_model_config(path).name));
  CHECK(load_model_config(directory.write("tiny.json", R"({"hidden_size": 64})")).name == "tiny");
  CHECK_THROWS_WITH(load_model_config(directory.file("other.json")), Catch::Contains("other.json"));
}

TEST_CASE("a multimodal config's language model is what counts") {
  const ModelConfig model = parse(R"({
    "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "torch_dtype": "float16",
    "vision_config": {"hidden_size": 1152},
    "text_config": {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
                    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "rms_norm_eps": 1e-6}})");
  CHECK(model.hidden == 2560);
  CHECK(model.intermediate == 10240);
  CHECK(model.head_dim == 256);
  CHECK(model.dtype == DType::f16);
  CHECK(model.norm_weight_offset == 1.0);
  CHECK(model.qk_norm);
  CHECK(model.architecture == "Gemma3ForConditionalGeneration");
  CHECK(parse(R"({"thinker_config": {"text_config": {"hidden_size": 640}}})").hidden == 640);
}

TEST_CASE("families differ where they do") {
  const ModelConfig v2 = parse(R"({"model_type": "deepseek_v2", "hidden_size": 5120, "n_routed_experts": 160,
    "num_experts_per_tok": 6, "n_group": 8, "topk_group": 3, "n_shared_experts": 2, "scoring_func": "softmax"})");
  CHECK_FALSE(v2.sigmoid_gate);
  CHECK_FALSE(v2.renormalize);
  CHECK(v2.shared_experts == 2);
  CHECK(v2.groups == 8);
  const ModelConfig qwen2 = parse(R"({"model_type": "qwen2_moe", "hidden_size": 2048, "num_experts": 60,
    "num_experts_per_tok": 4, "shared_expert_intermediate_size": 5632, "moe_intermediate_size": 1408})");
  CHECK(qwen2.experts == 60);
  CHECK(qwen2.shared_experts == 1);
  CHECK_FALSE(qwen2.renormalize);
  CHECK_FALSE(qwen2.qk_norm);
  const ModelConfig oss = parse(R"({"hidden_size": 2880, "num_local_experts": 32, "experts_per_token": 4,
    "intermediate_size": 2880, "dtype": "float32"})");
  CHECK(oss.top_k == 4);
  CHECK(oss.moe_intermediate == 2880);
  CHECK(oss.dtype == DType::f32);
  CHECK(parse(R"({"model_type": "gemma2", "hidden_size": 2304})").norm_weight_offset == 1.0);
  CHECK(parse(R"({"model_type": "llama", "hidden_size": 2304})").norm_weight_offset == 0.0);
  const ModelConfig qwen3_next = parse(R"({"model_type": "qwen3_next", "hidden_size": 2048,
    "linear_key_head_dim": 64, "linear_value_head_dim": 128})");
  CHECK(qwen3_next.linear_key_head_dim == 64);
  CHECK(qwen3_next.linear_value_head_dim == 128);
  CHECK(parse(R"({"model_type": "glm4_moe", "hidden_size": 4096, "use_qk_norm": false})").qk_norm == false);
}

TEST_CASE("unknown fields and nulls are passed over") {
  const ModelConfig model = parse(
      R"({"hidden_size": 512, "n_group": null, "rms_norm_eps": null, "future": {"a": [1, {"b": null}]}, "auto_map": 3})");
  CHECK(model.hidden == 512);
  CHECK(model.groups == 0);
  CHECK(model.norm_eps == 1e-6);
  CHECK(parse(R"({"hidden_size": 512.0})").hidden == 512);
}

TEST_CASE("a bad config is refused with its reason") {
  struct Case {
    const char* text;
    const char* reason;
  };
  const Case cases[] = {
      {"", "malformed JSON at line 1"},
      {"{\n  \"hidden_size\": 4,\n  oops\n}", "malformed JSON at line 3, column 3"},
      {"{\"hidden_size\": 4", "malformed JSON"},
      {"[1, 2]", "the top level must be an object, not array"},
      {"{}", "no hidden size; looked for hidden_size, d_model"},
      {R"({"hidden_size": 0})", "no hidden size"},
      {R"({"num_attention_heads": 4})", "no hidden size"},
      {R"({"hidden_size": "7168"})", "field hidden_size must be an integer, not string \"7168\""},
      {R"({"hidden_size": [7168]})", "field hidden_size must be an integer"},
      {R"({"hidden_size": 1.5})", "field hidden_size must be an integer"},
      {R"({"hidden_size": NaN})", "malformed JSON at line 1, column 17"},
      {R"({"hidden_size": true})", "field hidden_size must be an integer, not boolean true"},
      {R"({"hidden_size": -7168})", "field hidden_size = -7168 must be from 0 to 2147483647"},
      {R"({"hidden_size": 1e300})", "must be from 0"},
      {R"({"hidden_size": 18446744073709551615})", "must be from 0"},
      {R"({"hidden_size": 64, "rms_norm_eps": "small"})", "field rms_norm_eps must be a number"},
      {R"({"hidden_size": 64, "torch_dtype": 16})", "field torch_dtype must be a string"},
      {R"({"hidden_size": 64, "torch_dtype": "int4"})", "torch_dtype = int4"},
      {R"({"hidden_size": 64, "architectures": "Llama"})", "architectures must be a list of strings"},
      {R"({"hidden_size": 64, "num_experts": 8})",
       "experts per token from 1 to 8, got 0; looked for num_experts_per_tok"},
      {R"({"hidden_size": 64, "num_experts": 8, "num_experts_per_tok": 9})", "from 1 to 8, got 9"},
      {R"({"hidden_size": 64, "num_experts": 8, "num_experts_per_tok": 2, "n_group": 3, "topk_group": 1})",
       "cannot divide 8 experts"},
      {R"({"hidden_size": 64, "num_experts": 8, "num_experts_per_tok": 2, "norm_topk_prob": 1})",
       "true or false"},
      {R"({"hidden_size": 64, "hidden_size": 128})", "\"hidden_size\" occurs twice"},
  };
  for (const Case& bad : cases) {
    const std::string message = refusal(bad.text);
    INFO(message << " should say: " << bad.reason);
    CHECK(message.find(bad.reason) != std::string::npos);
    CHECK(message.find("config.json") == 0);
  }
}

TEST_CASE("the activation is read under the ops' names") {
  CHECK(parse(R"({"hidden_size": 64, "hidden_act": "silu"})").hidden_act == "silu");
  CHECK(parse(R"({"hidden_size": 64, "hidden_activation": "gelu_pytorch_tanh"})").hidden_act == "gelu_tanh");
  CHECK(parse(R"({"hidden_size": 64, "hidden_act": "silu", "model_type": "gpt_oss"})").hidden_act ==
        "swiglu_oai");
  CHECK(parse(R"({"hidden_size": 64})").hidden_act.empty());
}

TEST_CASE("nesting deeper than any config's is refused, however deep") {
  const auto nested = [](std::size_t depth) {
    return R"({"hidden_size": 8, "x": )" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  CHECK(parse(nested(60)).hidden == 8);
  CHECK_THAT(refusal(nested(200'000)), Catch::Contains("nested more than 64 levels deep"));
  CHECK_THAT(refusal(std::string(200'000, '[')), Catch::Contains("nested more than"));
}

}  // namespace
}  // namespace kerncast::tools
