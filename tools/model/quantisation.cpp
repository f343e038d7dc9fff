#include "tools/model/quantisation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "tools/model/config_fields.hpp"

namespace kerncast::tools {
namespace {

std::string text_at(const nlohmann::json& object, std::string_view path) {
  const nlohmann::json* value = value_at(object, path);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

std::int64_t number_at(const nlohmann::json& object, std::string_view path) {
  const nlohmann::json* value = value_at(object, path);
  return value != nullptr && value->is_number_integer() ? value->get<std::int64_t>() : 0;
}

bool flag_at(const nlohmann::json& object, std::string_view path) {
  const nlohmann::json* value = value_at(object, path);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

void add(Quantisation& made, QuantScheme scheme) {
  if (std::find(made.schemes.begin(), made.schemes.end(), scheme) == made.schemes.end()) {
    made.schemes.push_back(scheme);
  }
}

/// Dynamic fp8: one scale for each token before linear layers, one for the tensor before experts' (vLLM,
/// Fp8LinearMethod and Fp8MoEMethod).
void add_dynamic_fp8(Quantisation& made, bool has_experts) {
  add(made, QuantScheme::fp8_token);
  if (has_experts) {
    add(made, QuantScheme::fp8_tensor);
  }
}

/// One group of layers of compressed-tensors: what its input_activations say.
void add_group(Quantisation& made, const nlohmann::json& input) {
  const std::string type = text_at(input, "type");
  const std::string strategy = text_at(input, "strategy");
  const std::int64_t bits = number_at(input, "num_bits");
  const std::int64_t group = number_at(input, "group_size");
  const bool dynamic = flag_at(input, "dynamic");
  if (bits == 8 && type == "int") {
    if (dynamic) {
      add(made, QuantScheme::int8);
    } else {
      made.not_offered.emplace_back("int8 activations with a static scale");
    }
  } else if (bits == 8 && group == 32) {
    add(made, QuantScheme::mxfp8);
  } else if (bits == 8 && (strategy == "group" || strategy == "block" || strategy == "tensor_group")) {
    add(made, QuantScheme::fp8_block);
  } else if (bits == 8) {
    add(made, !dynamic               ? QuantScheme::fp8_static
              : strategy == "tensor" ? QuantScheme::fp8_tensor
                                     : QuantScheme::fp8_token);
  } else if (bits == 4 && type == "float") {
    add(made, group == 32 ? QuantScheme::mxfp4 : QuantScheme::nvfp4);
  } else {
    made.not_offered.push_back(fmt::format("{}-bit {} activations", bits, type));
  }
}

void read_compressed_tensors(Quantisation& made, const nlohmann::json& config) {
  const nlohmann::json* groups = value_at(config, "config_groups");
  if (groups == nullptr || !groups->is_object()) {
    return;
  }
  for (const auto& [name, group] : groups->items()) {
    if (const nlohmann::json* input = value_at(group, "input_activations")) {
      add_group(made, *input);
    } else if (number_at(group, "weights.num_bits") == 4 && text_at(group, "weights.type") == "int" &&
               number_at(group, "weights.group_size") == 32 && flag_at(group, "weights.symmetric")) {
      made.packed_weights = ExpertMatrices::int4;
    }
  }
}

/// The names of NVIDIA's ModelOpt.
void read_modelopt(Quantisation& made, const std::string& algorithm) {
  constexpr std::array<std::pair<const char*, QuantScheme>, 6> known = {{
      {"fp8", QuantScheme::fp8_static},
      {"fp8_per_channel_per_token", QuantScheme::fp8_token},
      {"fp8_pb_real", QuantScheme::fp8_block},
      {"nvfp4", QuantScheme::nvfp4},
      {"mxfp8", QuantScheme::mxfp8},
      {"w4a8_mxfp4_fp8", QuantScheme::mxfp8},
  }};
  for (const auto& [name, scheme] : known) {
    if (algorithm == name) {
      add(made, scheme);
      return;
    }
  }
  constexpr std::array<const char*, 6> weights_only = {"w4a16_awq", "int4_awq",    "w8a16",
                                                       "fp8_pb_wo", "w4a16_nvfp4", "nvfp4_awq_weight_only"};
  if (std::find(weights_only.begin(), weights_only.end(), algorithm) == weights_only.end()) {
    made.not_offered.push_back(fmt::format("ModelOpt's quantisation {}", algorithm));
  }
}

void read_method(Quantisation& made, const nlohmann::json& config, const std::string& method,
                 bool has_experts) {
  constexpr std::array<const char*, 15> weights_only = {
      "awq",  "gptq", "awq_marlin", "gptq_marlin",  "bitsandbytes", "auto-round", "aqlm", "hqq",
      "gguf", "eetq", "moe_wna16",  "experts_int8", "quip",         "higgs",      "spqr"};
  if (method == "fp8" || method == "finegrained_fp8" || method == "deepseek_v4_fp8") {
    const nlohmann::json* block = value_at(config, "weight_block_size");
    if (block != nullptr && block->is_array()) {
      add(made, QuantScheme::fp8_block);
    } else if (text_at(config, "activation_scheme") == "static") {
      add(made, QuantScheme::fp8_static);
    } else {
      add_dynamic_fp8(made, has_experts);
    }
  } else if (method == "compressed-tensors" || method == "compressed_tensors") {
    read_compressed_tensors(made, config);
  } else if (method.starts_with("modelopt")) {
    std::string algorithm = text_at(config, "quant_algo");
    if (algorithm.empty()) {
      algorithm = text_at(config, "quantization.quant_algo");
    }
    read_modelopt(made, lower_case(algorithm));
  } else if (method == "mxfp4" || method == "mxfp8") {
    // With mxfp4, engines take mxfp8 activations on Blackwell and leave them as they are on Hopper.
    add(made, QuantScheme::mxfp8);
    if (method == "mxfp4") {
      made.packed_weights = ExpertMatrices::mxfp4;
    }
  } else if (method == "w8a8_int8") {
    add(made, QuantScheme::int8);
  } else if (method == "w8a8_fp8" || method == "fbgemm_fp8" || method == "ptpc_fp8") {
    add(made, QuantScheme::fp8_token);
  } else if (std::find(weights_only.begin(), weights_only.end(), method) == weights_only.end()) {
    made.not_offered.push_back(fmt::format("the quantisation method {}", method));
  }
}

/// True if the layers of attention are named among those that stay as they are, in every layer of the model.
bool spares_attention(const nlohmann::json& config) {
  for (const char* key : {"ignore", "modules_to_not_convert", "exclude_modules",
                          "quantization.exclude_modules", "ignored_layers"}) {
    const nlohmann::json* list = value_at(config, key);
    if (list == nullptr || !list->is_array()) {
      continue;
    }
    for (const nlohmann::json& item : *list) {
      const std::string text = item.is_string() ? item.get<std::string>() : std::string();
      if (text.find("self_attn") != std::string::npos && text.find('*') != std::string::npos) {
        return true;
      }
    }
  }
  return false;
}

std::string describe(const Quantisation& made, const std::string& method) {
  if (made.schemes.empty()) {
    return fmt::format("weights only ({})", method);
  }
  std::string text;
  for (const QuantScheme scheme : made.schemes) {
    text += (text.empty() ? "" : ", ") + name_of_scheme(scheme);
  }
  return text;
}

}  // namespace

Quantisation read_quantisation(const nlohmann::json& root, const nlohmann::json& part,
                               const nlohmann::json& beside, bool has_experts) {
  Quantisation made;
  const nlohmann::json* config = value_at(root, "quantization_config");
  made.source = "key quantization_config";
  if (config == nullptr && &part != &root) {
    config = value_at(part, "quantization_config");
    made.source = "key quantization_config of the language model";
  }
  const nlohmann::json* compression = config == nullptr ? value_at(root, "compression_config") : nullptr;
  if (compression != nullptr) {
    config = compression;
    made.source = "key compression_config";
  }
  std::string method = config != nullptr ? lower_case(text_at(*config, "quant_method")) : std::string();
  if (config == nullptr && beside.is_object()) {
    config = &beside;
    method = "modelopt";
    made.source = "hf_quant_config.json";
  }
  if (config == nullptr || !config->is_object()) {
    made.text = "none";
    made.source = "no quantization_config";
    made.is_plain = true;
    return made;
  }
  if (method.empty() && !text_at(*config, "quant_algo").empty()) {
    method = "modelopt";
  }
  read_method(made, *config, method, has_experts);
  // Engines quantise the experts of an mxfp4 checkpoint alone, whether or not it names what it spares.
  made.spares_attention = method == "mxfp4" || spares_attention(*config);
  made.text = describe(made, method);
  return made;
}

}  // namespace kerncast::tools
