#include "tools/model/family.hpp"

#include <catch2/catch.hpp>
#include <cctype>
#include <fstream>
#include <string>
#include <vector>

#include "kerncast/error.hpp"
#include "tools/model/model_config.hpp"
#include "tools/model/workload.hpp"

namespace kerncast::tools {
namespace {

using nlohmann::json;

TEST_CASE("a config of nothing but its type has the sizes of its configuration class") {
  std::size_t whole = 0;
  for (const std::string& name : family_names()) {
    INFO(name);
    const bool type = std::islower(static_cast<unsigned char>(name.front())) != 0;
    const json config = type ? json{{"model_type", name}} : json{{"_class_name", name}};
    const Family family = find_family(config, config);
    CHECK(family.known);
    REQUIRE(family.facts.contains("hidden"));
    if (family.defaults.empty()) {
      continue;  // the class comes with the checkpoint, so its file has every field
    }
    try {
      const ModelReading reading = read_model(config.dump(), "config.json", name);
      CHECK(reading.known);
      CHECK(reading.config.hidden > 0);
      CHECK_NOTHROW(workloads_of(reading.config));
      const bool nothing = reading.config.norms.empty() && reading.config.modulations.empty();
      CHECK_FALSE((nothing && reading.not_offered.empty()));
      ++whole;
    } catch (const Error& error) {
      // Some classes have no number of experts by default.
      CHECK_THAT(error.what(), Catch::Contains("experts"));
    }
  }
  CHECK(whole >= 100);
}

TEST_CASE("a family is found by the language model's architecture or type, then by those of the whole") {
  const auto family = [](const char* text) {
    const json root = json::parse(text);
    const json* part = &root;
    const std::vector<std::string> path = language_path(root);
    for (const std::string& step : path) {
      part = &(*part)[step];
    }
    return find_family(root, *part).name;
  };
  CHECK(family(R"({"model_type": "bailing_moe", "architectures": ["BailingMoeV2ForCausalLM"]})") ==
        "BailingMoeV2ForCausalLM");
  CHECK(family(R"({"model_type": "new", "text_config": {"model_type": "qwen3"}})") == "qwen3");
  CHECK(family(R"({"model_type": "qwen3_omni_moe", "thinker_config": {"text_config": {}}})") ==
        "qwen3_omni_moe_text");
  CHECK(family(R"({"model_type": "kimi_k25", "text_config": {"model_type": "kimi_k2"}})") == "kimi_k2");
  CHECK(family(R"({"_class_name": "SD3Transformer2DModel"})") == "SD3Transformer2DModel");
  CHECK(family(R"({"_class_name": "NewTransformer2DModel"})") == "no known family");
}

TEST_CASE("a sparse config of a whole has the sizes that the whole's class gives its language model") {
  const auto hidden = [](const char* text) { return read_model(text, "config.json", "test").config.hidden; };
  CHECK(hidden(R"({"model_type": "voxtral"})") == 3072);
  CHECK(hidden(R"({"model_type": "voxtral", "text_config": {"model_type": "llama"}})") == 3072);
  CHECK(hidden(R"({"model_type": "voxtral", "text_config": {"model_type": "llama", "hidden_size": 5120}})") ==
        5120);
  CHECK(hidden(R"({"model_type": "voxtral", "text_config": {"model_type": "qwen2"}})") == 4096);
  CHECK(hidden(R"({"model_type": "llama"})") == 4096);
  // ... and the width of a head that the class gives, which is not hidden / heads.
  CHECK(read_model(R"({"model_type": "voxtral"})", "config.json", "test").config.head_dim == 128);
}

/// The models that the engines serve, as served_models.py checks them against their registries.
json served() {
  std::ifstream file(std::string(KERNCAST_MODEL_TESTS) + "/served.json");
  return json::parse(file);
}

TEST_CASE("every architecture that both vLLM and SGLang serve is known by its type") {
  const json list = served().at("architectures");
  CHECK(list.size() >= 180);
  for (const auto& [architecture, types] : list.items()) {
    CHECK_FALSE(types.empty());
    for (const std::string type : types) {
      INFO(architecture << " of type " << type);
      const json config = {{"architectures", {architecture}}, {"model_type", type}};
      CHECK(find_family(config, config).known);
    }
  }
}

TEST_CASE("every transformer that an engine for diffusion models serves is known") {
  const json list = served().at("diffusion");
  CHECK(list.size() >= 60);
  for (const auto& [name, types] : list.items()) {
    INFO(name);
    const json config = {{"_class_name", name}};
    CHECK(find_family(config, config).known);
  }
}

TEST_CASE("what the list names as not described is unknown, so that its plan is announced as a guess") {
  const json list = served().at("not_described");
  CHECK_FALSE(list.empty());
  for (const auto& [name, reason] : list.items()) {
    INFO(name << ": " << reason.get<std::string>());
    const json config = {{"_class_name", name}};
    CHECK_FALSE(find_family(config, config).known);
  }
}

}  // namespace
}  // namespace kerncast::tools
