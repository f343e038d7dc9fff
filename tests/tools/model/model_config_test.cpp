#include "tools/model/model_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kerncast/error.hpp"
#include "tests/temporary_directory.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/shipped_models.hpp"

namespace kerncast::tools {
namespace {

using Widths = std::set<std::int64_t>;

/// The expected facts of a published model.
struct Published {
  std::int64_t hidden;
  Widths mlps;
  std::int64_t experts, top_k, groups, topk_group, fused_shared;
  double scaling;
  std::int64_t heads, kv_heads, head_dim;
  double eps;
  RouterScoring scoring;
  bool head_norm, diffusion;
};

constexpr RouterScoring none = RouterScoring::none;
constexpr RouterScoring softmax = RouterScoring::softmax;
constexpr RouterScoring sigmoid = RouterScoring::sigmoid;

const std::map<std::string, Published> published = {
    {"deepseek-v3", {7168, {2048, 18432}, 256, 8, 8, 4, 1, 2.5, 128, 128, 192, 1e-6, sigmoid, false, false}},
    {"deepseek-r1", {7168, {2048, 18432}, 256, 8, 8, 4, 1, 2.5, 128, 128, 192, 1e-6, sigmoid, false, false}},
    {"kimi-k2", {7168, {2048, 18432}, 384, 8, 1, 1, 1, 2.827, 64, 64, 192, 1e-6, sigmoid, false, false}},
    {"qwen3-30b-a3b", {2048, {768}, 128, 8, 0, 0, 0, 1.0, 32, 4, 128, 1e-6, softmax, true, false}},
    {"qwen3-235b-a22b", {4096, {1536}, 128, 8, 0, 0, 0, 1.0, 64, 4, 128, 1e-6, softmax, true, false}},
    {"gpt-oss-120b", {2880, {2880}, 128, 4, 0, 0, 0, 1.0, 64, 8, 64, 1e-5, softmax, false, false}},
    {"glm-4.5", {5120, {1536, 12288}, 160, 8, 1, 1, 1, 2.5, 96, 8, 128, 1e-5, sigmoid, true, false}},
    {"mixtral-8x7b", {4096, {14336}, 8, 2, 0, 0, 0, 1.0, 32, 8, 128, 1e-5, softmax, false, false}},
    {"llama-3-8b", {4096, {14336}, 0, 0, 0, 0, 0, 1.0, 32, 8, 128, 1e-5, none, false, false}},
    {"llama-3-70b", {8192, {28672}, 0, 0, 0, 0, 0, 1.0, 64, 8, 128, 1e-5, none, false, false}},
    {"flux.1", {3072, {}, 0, 0, 0, 0, 0, 1.0, 24, 24, 128, 1e-6, none, true, true}},
    {"qwen-image", {3072, {}, 0, 0, 0, 0, 0, 1.0, 24, 24, 128, 1e-6, none, true, true}},
    {"wan2.2-a14b", {5120, {}, 0, 0, 0, 0, 0, 1.0, 40, 40, 128, 1e-6, none, false, true}},
};

ModelReading read(const std::string& text) {
  return read_model(text, "config.json", "test");
}

ModelConfig parse(const std::string& text) {
  return read(text).config;
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

Widths widths_of(const ModelConfig& model, const std::string& place = {}) {
  Widths widths;
  for (const ModelMlp& mlp : model.mlps) {
    if (place.empty() || mlp.place == place) {
      widths.insert(mlp.width);
    }
  }
  return widths;
}

std::string activation_of(const ModelConfig& model) {
  return model.mlps.empty() ? std::string() : model.mlps.front().activation;
}

const ModelFact& fact_of(const ModelReading& reading, const std::string& name) {
  const auto found = std::find_if(reading.facts.begin(), reading.facts.end(),
                                  [&](const ModelFact& fact) { return fact.name == name; });
  REQUIRE(found != reading.facts.end());
  return *found;
}

TEST_CASE("the shipped models have their published sizes") {
  REQUIRE(shipped_models().size() == published.size());
  for (const auto& [name, expected] : published) {
    INFO(name);
    const ModelReading reading = load_model(name);
    const ModelConfig& model = reading.config;
    CHECK(reading.known);
    CHECK(model.name == name);
    CHECK(model.dtype == DType::bf16);
    CHECK(model.hidden == expected.hidden);
    Widths widths = widths_of(model);
    widths.erase(2944);  // padded experts of gpt-oss
    CHECK(widths == expected.mlps);
    CHECK(model.experts == expected.experts);
    CHECK(model.top_k == expected.top_k);
    CHECK(model.router.groups == expected.groups);
    CHECK(model.router.topk_group == expected.topk_group);
    CHECK(model.router.fused_shared == expected.fused_shared);
    CHECK(model.router.scaling == expected.scaling);
    CHECK(model.heads == expected.heads);
    CHECK(model.kv_heads == expected.kv_heads);
    CHECK(model.head_dim == expected.head_dim);
    CHECK(model.norm_eps == expected.eps);
    CHECK(model.router.scoring == expected.scoring);
    CHECK(model.head_norms.empty() != expected.head_norm);
    CHECK(model.diffusion == expected.diffusion);
    CHECK(model.router.renormalize);
  }
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

TEST_CASE("a multimodal config's language model is what counts, with its class's defaults") {
  const ModelConfig model = parse(R"({
    "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "torch_dtype": "float16",
    "vision_config": {"hidden_size": 1152},
    "text_config": {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
                    "num_attention_heads": 8}})");
  CHECK(model.hidden == 2560);
  CHECK(widths_of(model) == Widths{10240});
  CHECK(activation_of(model) == "gelu_tanh");
  CHECK(model.head_dim == 256);
  CHECK(model.kv_heads == 4);
  CHECK(model.dtype == DType::f16);
  REQUIRE(model.norms.size() == 1);
  CHECK(model.norms[0].weight_offset == 1.0);
  REQUIRE(model.head_norms.size() == 1);
  CHECK(model.head_norms[0].unit_offset);
  CHECK(model.head_norms[0].rotary_dim == 256);
  CHECK(model.architecture == "Gemma3ForConditionalGeneration");
  // Without a type of its own, the inner part has that which the outer type implies.
  CHECK(read(R"({"model_type": "gemma3", "text_config": {"hidden_size": 2560}})").family == "gemma3_text");
  CHECK(parse(R"({"thinker_config": {"text_config": {"hidden_size": 640}}})").hidden == 640);
}

TEST_CASE("families differ where they do") {
  const ModelReading v2 = read(R"({"model_type": "deepseek_v2", "hidden_size": 5120, "n_routed_experts": 160,
    "num_experts_per_tok": 6, "n_group": 8, "topk_group": 3, "n_shared_experts": 2, "scoring_func": "softmax",
    "topk_method": "group_limited_greedy"})");
  CHECK(v2.config.router.scoring == none);
  CHECK(v2.not_offered == std::vector<std::string>{"router: softmax with top 3 of 8 groups"});
  CHECK_FALSE(v2.config.router.renormalize);
  CHECK(widths_of(v2.config, "shared expert") == Widths{2 * 1407});
  const ModelReading qwen2 = read(R"({"model_type": "qwen2_moe", "hidden_size": 2048})");
  CHECK(qwen2.config.experts == 60);
  CHECK(widths_of(qwen2.config, "shared expert") == Widths{5632});
  CHECK_FALSE(qwen2.config.adds_shared);
  CHECK(qwen2.not_offered.size() == 1);
  CHECK_FALSE(qwen2.config.router.renormalize);
  CHECK(qwen2.config.head_norms.empty());
  CHECK(parse(R"({"model_type": "gemma2"})").norms.at(0).weight_offset == 1.0);
  CHECK(parse(R"({"model_type": "llama"})").norms.at(0).weight_offset == 0.0);
  const ModelConfig next = parse(R"({"model_type": "qwen3_next", "linear_key_head_dim": 64})");
  REQUIRE(next.norms.size() == 3);
  CHECK(next.norms[1].kind == NormKind::l2);
  CHECK(next.norms[1].width == 64);
  CHECK(next.norms[2].kind == NormKind::gated_rms);
  CHECK(next.norms[2].rows_per_token == 32);
  CHECK(parse(R"({"model_type": "glm4_moe", "use_qk_norm": false})").head_norms.empty());
  CHECK(parse(R"({"model_type": "glm4_moe", "use_qk_norm": true, "head_dim": 128,
                  "rope_parameters": {"partial_rotary_factor": 0.25}})")
            .head_norms.at(0)
            .rotary_dim == 32);
}

TEST_CASE("a list for each layer is the set of its values") {
  const ModelConfig model = parse(R"({"model_type": "llama", "intermediate_size": [64, 128, 64],
                                      "num_attention_heads": [32, 32]})");
  CHECK(widths_of(model) == Widths{64, 128});
  CHECK(model.heads == 32);
  CHECK_THAT(refusal(R"({"model_type": "llama", "num_attention_heads": [32, 16]})"),
             Catch::Contains("field num_attention_heads must have one value for all layers, not 32, 16"));
}

TEST_CASE("every fact says where it was read") {
  const ModelReading reading = read(R"({"model_type": "mistral3", "dtype": "torch.bfloat16",
      "text_config": {"model_type": "ministral3", "hidden_size": 1280, "num_attention_heads": 10}})");
  CHECK(fact_of(reading, "hidden").source == "key text_config.hidden_size");
  CHECK(fact_of(reading, "kv_heads").source == "default of ministral3");
  CHECK(fact_of(reading, "norm").source == "rule of ministral3");
  CHECK_THAT(fact_of(reading, "o_width").source, Catch::Contains("in part by default"));
  CHECK(fact_of(reading, "dtype").source == "key dtype");
  CHECK(fact_of(reading, "quantised activations").value == "none");
}

TEST_CASE("a type that no family describes is guessed, and what the guess did not use is listed") {
  const ModelReading guess = read(R"({"model_type": "new", "hidden_size": 256, "num_attention_heads": 4,
      "vocab_size": 9, "streams": 4, "inner": {"gate": "tanh", "sizes": [1, 2], "dropout": 0.1}, "none": null})");
  CHECK_FALSE(guess.known);
  CHECK(guess.not_understood == std::vector<std::string>{"inner.gate", "inner.sizes", "streams"});
  CHECK(read(R"({"model_type": "llama", "streams": 4})").not_understood.empty());
}

TEST_CASE("dtypes are read as the libraries write them") {
  const auto dtype = [](const std::string& value) {
    return parse(R"({"model_type": "llama", "dtype": )" + value + "}").dtype;
  };
  CHECK(dtype(R"("torch.bfloat16")") == DType::bf16);
  CHECK(dtype(R"("bf16")") == DType::bf16);
  CHECK(dtype(R"("fp16")") == DType::f16);
  CHECK(dtype(R"({"": "float16"})") == DType::f16);
  CHECK(dtype(R"("float32")") == DType::bf16);  // as vLLM serves it
  CHECK_THAT(refusal(R"({"model_type": "llama", "dtype": "float64"})"),
             Catch::Contains("field dtype = float64"));
}

TEST_CASE("the form of the experts' matrices is read from the checkpoint's files") {
  const auto matrices = [](const std::string& config, const char* type = "mixtral") {
    return read(fmt::format(R"({{"model_type": "{}", "quantization_config": {}}})", type, config))
        .config.expert_matrices;
  };
  using Matrices = std::vector<ExpertMatrices>;
  CHECK(matrices("null") == Matrices{ExpertMatrices::plain});
  CHECK(matrices(R"({"quant_method": "fp8", "weight_block_size": [128, 128]})") ==
        Matrices{ExpertMatrices::fp8_blocks});
  CHECK(matrices(R"({"quant_method": "w8a8_int8"})") == Matrices{ExpertMatrices::int8});
  CHECK(matrices(R"({"quant_method": "mxfp4"})", "gpt_oss") == Matrices{ExpertMatrices::mxfp4});
  CHECK(matrices(R"({"quant_method": "mxfp4"})", "llama").empty());
  CHECK(matrices(R"({"quant_method": "awq", "bits": 4})").empty());
  const auto group = [&](const std::string& weights) {
    return matrices(R"({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": )" +
                    weights + "}}}");
  };
  CHECK(group(R"({"num_bits": 4, "type": "int", "group_size": 32, "symmetric": true})") ==
        Matrices{ExpertMatrices::int4});
  // Only symmetric groups of 32 are what moe.grouped_gemm multiplies.
  CHECK(group(R"({"num_bits": 4, "type": "int", "group_size": 32, "symmetric": false})").empty());
  CHECK(group(R"({"num_bits": 4, "type": "int", "group_size": 128, "symmetric": true})").empty());
  CHECK(group(R"({"num_bits": 8, "type": "int", "group_size": 32, "symmetric": true})").empty());
}

TEST_CASE("how activations are quantised is read from the checkpoint's files") {
  const auto schemes = [](const std::string& config, const char* type = "llama") {
    return read(fmt::format(R"({{"model_type": "{}", "quantization_config": {}}})", type, config)).schemes;
  };
  using Schemes = std::vector<QuantScheme>;
  CHECK(schemes(R"({"quant_method": "fp8", "weight_block_size": [128, 128]})") ==
        Schemes{QuantScheme::fp8_block});
  CHECK(schemes(R"({"quant_method": "fp8", "activation_scheme": "static"})") ==
        Schemes{QuantScheme::fp8_static});
  CHECK(schemes(R"({"quant_method": "fp8", "activation_scheme": "dynamic"})") ==
        Schemes{QuantScheme::fp8_token});
  CHECK(schemes(R"({"quant_method": "fp8", "activation_scheme": "dynamic"})", "mixtral") ==
        Schemes{QuantScheme::fp8_token, QuantScheme::fp8_tensor});
  CHECK(schemes(R"({"quant_method": "awq", "bits": 4})").empty());
  CHECK(schemes(R"({"quant_method": "gptq", "bits": 4})").empty());
  const auto group = [&](const std::string& input) {
    return schemes(
        R"({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"input_activations": )" +
        input + "}}}");
  };
  CHECK(group(R"({"num_bits": 8, "type": "float", "strategy": "token", "dynamic": true})") ==
        Schemes{QuantScheme::fp8_token});
  CHECK(group(R"({"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": false})") ==
        Schemes{QuantScheme::fp8_static});
  CHECK(
      group(R"({"num_bits": 8, "type": "float", "strategy": "group", "group_size": 128, "dynamic": true})") ==
      Schemes{QuantScheme::fp8_block});
  CHECK(group(R"({"num_bits": 8, "type": "int", "strategy": "token", "dynamic": true})") ==
        Schemes{QuantScheme::int8});
  CHECK(group(R"({"num_bits": 4, "type": "float", "group_size": 16, "dynamic": "local"})") ==
        Schemes{QuantScheme::nvfp4});
  CHECK(group("null").empty());
  CHECK(schemes(R"({"quant_method": "modelopt", "quant_algo": "NVFP4"})") == Schemes{QuantScheme::nvfp4});
  CHECK(schemes(R"({"quant_method": "modelopt", "quant_algo": "FP8"})") == Schemes{QuantScheme::fp8_static});
  const ModelReading unknown =
      read(R"({"model_type": "llama", "quantization_config": {"quant_method": "new"}})");
  CHECK(unknown.not_offered == std::vector<std::string>{"the quantisation method new"});
  const ModelReading beside =
      read_model(R"({"model_type": "llama"})", "config.json", "test",
                 R"({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4",
                     "exclude_modules": ["model.layers.*.self_attn*"]}})");
  CHECK(beside.schemes == Schemes{QuantScheme::nvfp4});
  for (const ModelLinear& linear : beside.config.linears) {
    CHECK(linear.place != "o_proj input");
  }
  const TemporaryDirectory directory;
  directory.write("hf_quant_config.json", R"({"quantization": {"quant_algo": "FP8"}})");
  CHECK(load_model(directory.write("config.json", R"({"model_type": "llama"})")).schemes ==
        Schemes{QuantScheme::fp8_static});
}

TEST_CASE("unknown fields and nulls are passed over") {
  const ModelConfig model = parse(
      R"({"hidden_size": 512, "n_group": null, "rms_norm_eps": null, "future": {"a": [1, {"b": null}]}, "auto_map": 3,
          "time_step_limit": [0.0, Infinity], "low": -Infinity, "x": NaN, "text": "NaN, \"Infinity"})");
  CHECK(model.hidden == 512);
  CHECK(model.router.groups == 0);
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
      {"{}", "no hidden size; looked for @hidden_size,d_model"},
      {R"({"hidden_size": 0})", "no hidden size"},
      {R"({"num_attention_heads": 4})", "no hidden size"},
      {R"({"hidden_size": "7168"})", "field hidden_size must be an integer, not string \"7168\""},
      {R"({"hidden_size": 1.5})", "field hidden_size must be an integer"},
      {R"({"hidden_size": NaN})", "no hidden size"},
      {R"({"hidden_size": true})", "field hidden_size must be an integer, not boolean true"},
      {R"({"hidden_size": -7168})", "field hidden_size = -7168 must be from 0 to 2147483647"},
      {R"({"hidden_size": 1e300})", "must be from 0"},
      {R"({"hidden_size": 18446744073709551615})", "must be from 0"},
      {R"({"hidden_size": 64, "rms_norm_eps": "small"})", "field rms_norm_eps must be a number"},
      {R"({"hidden_size": 64, "torch_dtype": 16})", "field torch_dtype must be a string"},
      {R"({"hidden_size": 64, "torch_dtype": "int4"})", "torch_dtype = int4"},
      {R"({"hidden_size": 64, "architectures": "Llama"})", "architectures must be a list of strings"},
      {R"({"hidden_size": 64, "num_experts": 8})",
       "experts per token from 1 to 8, got 0; looked for @num_experts_per_tok"},
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
  const auto act = [](const std::string& fields) {
    return activation_of(parse(R"({"hidden_size": 64, "intermediate_size": 128)" + fields + "}"));
  };
  CHECK(act(R"(, "hidden_act": "silu")") == "silu");
  CHECK(act(R"(, "hidden_activation": "gelu_pytorch_tanh")") == "gelu_tanh");
  CHECK(act("").empty());
  CHECK(activation_of(parse(R"({"hidden_act": "silu", "model_type": "gpt_oss"})")) == "swiglu_oai");
  // Gemma's file says gelu; the library and the engines run the tanh form.
  CHECK(activation_of(parse(R"({"hidden_act": "gelu", "model_type": "gemma"})")) == "gelu_tanh");
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
