#include "tools/model/model_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "kerncast/error.hpp"
#include "runtime/util/nearest_name.hpp"
#include "tools/io/file.hpp"
#include "tools/io/json_text.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/config_fields.hpp"
#include "tools/model/family.hpp"
#include "tools/model/quantisation.hpp"
#include "tools/model/shipped_models.hpp"

namespace kerncast::tools {
namespace {

constexpr std::uint64_t largest_file = 16U << 20U;

/// Python's nlohmann::json module writes NaN, Infinity and -Infinity, which JSON does not have: null stands
/// for them.
std::string without_python_numbers(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\' && i + 1 < text.size()) {
      out += text[i++];
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (!quoted) {
      bool replaced = false;
      for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
        const bool alone = i + word.size() >= text.size() ||
                           std::isalnum(static_cast<unsigned char>(text[i + word.size()])) == 0;
        const bool starts = i == 0 || std::isalnum(static_cast<unsigned char>(text[i - 1])) == 0;
        if (starts && alone && text.substr(i, word.size()) == word) {
          out += "null";
          i += word.size() - 1;
          replaced = true;
          break;
        }
      }
      if (replaced) {
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

DType parse_dtype(std::string name, const std::string& key, const std::string& origin) {
  if (name.starts_with("torch.")) {
    name = name.substr(6);
  }
  if (name == "bfloat16" || name == "bf16" || name == "auto" || name.starts_with("float8")) {
    return DType::bf16;
  }
  if (name == "float16" || name == "half" || name == "fp16") {
    return DType::f16;
  }
  if (name == "float32" || name == "float" || name == "fp32") {
    return DType::f32;
  }
  throw Error(ErrorCode::io_error,
              fmt::format("{}: field {} = {} is not one of bfloat16, float16, float32", origin, key, name));
}

/// The dtype that the model is served in, and where it was read. Some files have one for each part of the
/// model, with that of the whole under "".
std::pair<DType, std::string> read_dtype(const ConfigFields& fields) {
  const auto field = fields.find({"torch_dtype", "dtype", "/torch_dtype", "/dtype"});
  if (!field) {
    return {DType::bf16, "rule: bfloat16 where the file has no dtype"};
  }
  const nlohmann::json* value = field->value;
  for (const char* part : {"text_config", ""}) {
    if (field->value->is_object() && field->value->contains(part)) {
      value = &(*field->value)[part];
    }
  }
  if (!value->is_string()) {
    throw Error(ErrorCode::io_error,
                fmt::format("{}: field {} must be a string, not {} {}", fields.origin(), field->key,
                            value->type_name(), value->dump().substr(0, 60)));
  }
  const DType stored = parse_dtype(value->get<std::string>(), field->key, fields.origin());
  if (stored == DType::f32) {
    return {DType::bf16, fmt::format("rule: engines serve the float32 of key {} in bfloat16", field->key)};
  }
  return {stored, "key " + field->key};
}

std::string class_name(const nlohmann::json& root, const std::string& origin) {
  if (const nlohmann::json* name = value_at(root, "_class_name"); name != nullptr && name->is_string()) {
    return name->get<std::string>();
  }
  const nlohmann::json* list = value_at(root, "architectures");
  if (list == nullptr) {
    return {};
  }
  if (!list->is_array() || (!list->empty() && !list->front().is_string())) {
    throw Error(ErrorCode::io_error,
                fmt::format("{}: field architectures must be a list of strings", origin));
  }
  return list->empty() ? std::string() : list->front().get<std::string>();
}

bool is_file(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
}

bool is_directory(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// A name for the model at `path`: that of the file, or of its directory if the file is called config.json.
std::string model_name(const std::string& path) {
  const auto last_part = [](const std::string& whole) { return whole.substr(whole.find_last_of('/') + 1); };
  const std::string file = last_part(path);
  const std::size_t slash = path.find_last_of('/');
  if (file == "config.json" && slash != std::string::npos && slash > 0) {
    return last_part(path.substr(0, slash));
  }
  return file.substr(0, file.rfind(".json"));
}

ModelReading read_file_of_model(const std::string& path) {
  const std::string folder = path.substr(0, path.find_last_of('/') + 1);
  const std::string beside = folder + "hf_quant_config.json";
  return read_model(read_file(path, largest_file), path, model_name(path),
                    is_file(beside) ? read_file(beside, largest_file) : std::string());
}

/// The kinds of the matrices of `experts` experts that moe.grouped_gemm multiplies.
std::vector<ExpertMatrices> expert_matrices_of(const Quantisation& quant, std::int64_t experts) {
  std::vector<ExpertMatrices> made;
  if (experts > 0 && quant.is_plain) {
    made.push_back(ExpertMatrices::plain);
  }
  const auto has = [&](std::initializer_list<QuantScheme> any) {
    return experts > 0 && std::find_first_of(quant.schemes.begin(), quant.schemes.end(), any.begin(),
                                             any.end()) != quant.schemes.end();
  };
  if (has({QuantScheme::fp8_block})) {
    made.push_back(ExpertMatrices::fp8_blocks);
  }
  if (has({QuantScheme::fp8_static, QuantScheme::fp8_tensor, QuantScheme::fp8_token})) {
    made.push_back(ExpertMatrices::fp8);
  }
  if (has({QuantScheme::int8})) {
    made.push_back(ExpertMatrices::int8);
  }
  if (experts > 0 && quant.packed_weights) {
    made.push_back(*quant.packed_weights);
  }
  return made;
}

}  // namespace

ModelReading read_model(std::string_view text, const std::string& origin, std::string name,
                        std::string_view quantisation) {
  const nlohmann::json root = parse_json(without_python_numbers(text), origin);
  if (!root.is_object()) {
    throw Error(ErrorCode::io_error,
                fmt::format("{}: the top level must be an object, not {}", origin, root.type_name()));
  }
  const std::string architecture = class_name(root, origin);
  const std::vector<std::string> path = language_path(root);
  const nlohmann::json* part = &root;
  for (const std::string& step : path) {
    part = &(*part)[step];
  }
  const Family family = find_family(root, *part);
  const ConfigFields fields(root, *part, fmt::format("{}", fmt::join(path, ".")), family.defaults, origin);
  const auto [dtype, dtype_source] = read_dtype(fields);
  const nlohmann::json beside = quantisation.empty() ? nlohmann::json()
                                                     : parse_json(without_python_numbers(quantisation),
                                                                  origin + ", hf_quant_config.json");

  ModelReading reading;
  reading.family = family.name;
  reading.known = family.known;
  // The number of experts is known only after the facts are read; it decides no more than one scheme.
  Quantisation quant = read_quantisation(root, *part, beside, true);
  BuiltModel built = build_model(family, fields, dtype, !quant.spares_attention);
  if (built.config.experts == 0) {
    quant = read_quantisation(root, *part, beside, false);
  }
  reading.config = std::move(built.config);
  reading.config.name = std::move(name);
  reading.config.architecture = architecture;
  const bool mla = family.facts.contains("deep_gemm");
  reading.config.deep_gemm = mla || std::find(quant.schemes.begin(), quant.schemes.end(),
                                              QuantScheme::fp8_block) != quant.schemes.end();
  reading.config.expert_matrices = expert_matrices_of(quant, reading.config.experts);
  reading.schemes = quant.schemes;
  reading.facts.push_back({"dtype", std::string(name_of(dtype)), dtype_source});
  reading.facts.push_back({"quantised activations", quant.text, quant.source});
  reading.facts.insert(reading.facts.end(), built.facts.begin(), built.facts.end());
  reading.not_offered = std::move(built.not_offered);
  reading.not_offered.insert(reading.not_offered.end(), quant.not_offered.begin(), quant.not_offered.end());
  for (const auto& [key, value] : root.items()) {
    const bool encoder = key.find("vision") != std::string::npos || key.find("audio") != std::string::npos;
    if (encoder && value.is_object() && key.ends_with("_config")) {
      reading.not_offered.push_back(fmt::format("the encoder of {}: its ops are not planned", key));
    }
  }
  if (!family.known) {
    reading.not_understood = fields.not_understood();
  }
  return reading;
}

ModelReading load_model(const std::string& name_or_path) {
  const std::string name = lower(name_or_path);
  std::vector<std::string> known;
  for (const ShippedModel& model : shipped_models()) {
    known.emplace_back(model.name);
    if (model.name == name) {
      return read_model(model.text, fmt::format("model {}", model.name), std::string(model.name));
    }
  }
  if (is_directory(name_or_path)) {
    return read_file_of_model(name_or_path + (name_or_path.ends_with('/') ? "config.json" : "/config.json"));
  }
  if (is_file(name_or_path) || name_or_path.ends_with(".json") || name_or_path.starts_with('/') ||
      name_or_path.starts_with('.')) {
    return read_file_of_model(name_or_path);
  }
  const std::string nearest = nearest_name(name.substr(name.find_last_of('/') + 1), known);
  throw UsageError(
      fmt::format("unknown model '{}'{}; known are {}, or give the path of a config.json", name_or_path,
                  nearest.empty() ? std::string() : fmt::format(" (did you mean {}?)", nearest),
                  fmt::join(known, ", ")),
      ErrorCode::not_found);
}

ModelConfig load_model_config(const std::string& name_or_path) {
  return load_model(name_or_path).config;
}

}  // namespace kerncast::tools
