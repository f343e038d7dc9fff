#include "tools/model/model_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "kerncast/error.hpp"
#include "runtime/util/nearest_name.hpp"
#include "tools/io/file.hpp"
#include "tools/io/json_text.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/shipped_models.hpp"

namespace kerncast::tools {
namespace {

using Names = std::initializer_list<const char*>;

/// The fields of one JSON object. Null counts as absent, as in Hugging Face's configs.
class Fields {
 public:
  Fields(const nlohmann::json& object, const std::string& origin) : object_(object), origin_(origin) {}

  /// The numbers, flags and words of the object that were never read, except those that no kernel depends on.
  [[nodiscard]] std::vector<std::string> unasked() const {
    std::vector<std::string> out;
    for (const auto& [name, value] : object_.items()) {
      if (value.is_primitive() && !value.is_null() && !asked_.contains(name) && !is_irrelevant(name)) {
        out.push_back(name);
      }
    }
    return out;
  }

  /// The value of the first of `names` that exists.
  [[nodiscard]] std::optional<std::int64_t> integer(Names names) const {
    const auto [name, value] = find(names);
    if (value == nullptr) {
      return std::nullopt;
    }
    const bool whole = value->is_number_integer() ||
                       (value->is_number_float() && std::trunc(value->get<double>()) == value->get<double>());
    if (!whole) {
      wrong_type(name, *value, "an integer");
    }
    constexpr double limit = std::numeric_limits<std::int32_t>::max();
    if (const double number = value->get<double>(); !(number >= 0 && number <= limit)) {
      throw Error(ErrorCode::io_error, fmt::format("{}: field {} = {} must be from 0 to {}", origin_, name,
                                                   value->dump(), static_cast<std::int64_t>(limit)));
    }
    return static_cast<std::int64_t>(value->get<double>());
  }

  [[nodiscard]] std::optional<double> number(Names names) const {
    const auto [name, value] = find(names);
    if (value == nullptr) {
      return std::nullopt;
    }
    if (!value->is_number()) {
      wrong_type(name, *value, "a number");
    }
    return value->get<double>();
  }

  [[nodiscard]] std::optional<bool> boolean(Names names) const {
    const auto [name, value] = find(names);
    if (value == nullptr) {
      return std::nullopt;
    }
    if (!value->is_boolean()) {
      wrong_type(name, *value, "true or false");
    }
    return value->get<bool>();
  }

  [[nodiscard]] std::string text(Names names) const {
    const auto [name, value] = find(names);
    if (value == nullptr) {
      return {};
    }
    if (!value->is_string()) {
      wrong_type(name, *value, "a string");
    }
    return value->get<std::string>();
  }

  [[nodiscard]] const nlohmann::json* object(const char* name) const {
    const nlohmann::json* value = find({name}).second;
    return value != nullptr && value->is_object() ? value : nullptr;
  }

  [[nodiscard]] const nlohmann::json* any(const char* name) const { return find({name}).second; }

 private:
  [[nodiscard]] std::pair<const char*, const nlohmann::json*> find(Names names) const {
    for (const char* name : names) {
      asked_.insert(name);
      const auto found = object_.find(name);
      if (found != object_.end() && !found->is_null()) {
        return {name, &*found};
      }
    }
    return {"", nullptr};
  }

  [[noreturn]] void wrong_type(const char* name, const nlohmann::json& value, const char* wanted) const {
    throw Error(ErrorCode::io_error, fmt::format("{}: field {} must be {}, not {} {}", origin_, name, wanted,
                                                 value.type_name(), value.dump().substr(0, 60)));
  }

  /// True for fields about vocabulary, training, files and text generation.
  static bool is_irrelevant(const std::string& name) {
    constexpr const char* exact[] = {"vocab_size",
                                     "initializer_range",
                                     "transformers_version",
                                     "model_type",
                                     "num_hidden_layers",
                                     "tie_word_embeddings",
                                     "pretraining_tp",
                                     "use_cache",
                                     "max_position_embeddings",
                                     "_name_or_path",
                                     "_diffusers_version",
                                     "_class_name",
                                     "_commit_hash",
                                     "attn_implementation",
                                     "gradient_checkpointing",
                                     "router_aux_loss_coef",
                                     "output_router_logits",
                                     "aux_loss_alpha",
                                     "seq_aux"};
    return name.ends_with("_token_id") || name.find("dropout") != std::string::npos ||
           std::find(std::begin(exact), std::end(exact), name) != std::end(exact);
  }

  const nlohmann::json& object_;
  const std::string& origin_;
  mutable std::set<std::string> asked_;
};

/// True for model types and classes all of whose fields are understood here.
bool is_known(const std::string& type, const std::string& class_name) {
  constexpr const char* known[] = {"deepseek_v2",
                                   "deepseek_v3",
                                   "kimi_k2",
                                   "kimi_k25",
                                   "qwen2",
                                   "qwen2_moe",
                                   "qwen3",
                                   "qwen3_moe",
                                   "qwen3_next",
                                   "gpt_oss",
                                   "glm4",
                                   "glm4_moe",
                                   "mixtral",
                                   "mistral",
                                   "llama",
                                   "gemma",
                                   "gemma2",
                                   "gemma3",
                                   "gemma3_text",
                                   "FluxTransformer2DModel",
                                   "QwenImageTransformer2DModel",
                                   "WanTransformer3DModel"};
  return std::any_of(std::begin(known), std::end(known),
                     [&](const char* name) { return type == name || class_name == name; });
}

constexpr Names hidden_names = {"hidden_size", "d_model", "n_embd", "dim"};
constexpr Names top_k_names = {
    "num_experts_per_tok", "experts_per_token", "num_experts_per_token", "moe_topk", "moe_k",
    "top_k_experts"};

DType parse_torch_dtype(const std::string& name, const std::string& origin) {
  if (name.empty() || name == "bfloat16" || name == "auto" || name.starts_with("float8")) {
    return DType::bf16;
  }
  if (name == "float16" || name == "half") {
    return DType::f16;
  }
  if (name == "float32" || name == "float") {
    return DType::f32;
  }
  throw Error(
      ErrorCode::io_error,
      fmt::format("{}: field torch_dtype = {} is not one of bfloat16, float16, float32", origin, name));
}

bool is_one_of(const std::string& value, Names names) {
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return value == name; });
}

std::string class_name(const Fields& root, const std::string& origin) {
  if (const std::string diffusers = root.text({"_class_name"}); !diffusers.empty()) {
    return diffusers;
  }
  const nlohmann::json* list = root.any("architectures");
  if (list == nullptr) {
    return {};
  }
  if (!list->is_array() || (!list->empty() && !list->front().is_string())) {
    throw Error(ErrorCode::io_error,
                fmt::format("{}: field architectures must be a list of strings", origin));
  }
  return list->empty() ? std::string() : list->front().get<std::string>();
}

/// The object with the sizes of the language model, which multimodal configs nest.
const nlohmann::json& language_part(const nlohmann::json& root, const std::string& origin) {
  const nlohmann::json* part = &root;
  for (int depth = 0; depth < 4; ++depth) {
    const Fields fields(*part, origin);
    if (fields.integer(hidden_names)) {
      break;
    }
    const nlohmann::json* inner = nullptr;
    for (const char* name : {"text_config", "llm_config", "language_config", "thinker_config"}) {
      inner = inner == nullptr ? fields.object(name) : inner;
    }
    if (inner == nullptr) {
      break;
    }
    part = inner;
  }
  return *part;
}

void read_hidden(ModelConfig& model, const Fields& fields, const std::string& origin) {
  model.heads = fields.integer({"num_attention_heads", "n_head", "num_heads"}).value_or(0);
  if (const auto hidden = fields.integer(hidden_names)) {
    model.hidden = *hidden;
  } else if (const auto head_dim = fields.integer({"attention_head_dim"})) {
    model.hidden = model.heads * *head_dim;
  }
  if (model.hidden <= 0) {
    throw Error(
        ErrorCode::io_error,
        fmt::format("{}: no hidden size; looked for {}, for num_attention_heads with attention_head_dim, and "
                    "for the same fields in text_config, llm_config, language_config and thinker_config",
                    origin, fmt::join(hidden_names, ", ")));
  }
}

void read_attention(ModelConfig& model, const Fields& fields) {
  model.kv_heads = fields.integer({"num_key_value_heads"}).value_or(model.heads);
  model.q_lora_rank = fields.integer({"q_lora_rank"}).value_or(0);
  model.kv_lora_rank = fields.integer({"kv_lora_rank"}).value_or(0);
  model.linear_key_head_dim = fields.integer({"linear_key_head_dim"}).value_or(0);
  model.linear_value_head_dim = fields.integer({"linear_value_head_dim"}).value_or(0);
  if (const auto head_dim = fields.integer({"head_dim", "attention_head_dim"})) {
    model.head_dim = *head_dim;
  } else if (model.kv_lora_rank > 0) {
    model.head_dim =
        fields.integer({"qk_nope_head_dim"}).value_or(0) + fields.integer({"qk_rope_head_dim"}).value_or(0);
  } else if (model.heads > 0) {
    model.head_dim = model.hidden / model.heads;
  }
}

void read_rope(ModelConfig& model, const Fields& fields, const std::string& type) {
  // Other kinds of rotary embedding are left out: DeepSeek's rotates a separate part of a head, and models
  // without rope_theta have learned positions or none.
  const bool diffusion = is_one_of(
      model.architecture, {"FluxTransformer2DModel", "QwenImageTransformer2DModel", "WanTransformer3DModel"});
  if (model.kv_lora_rank > 0 || !(diffusion || fields.number({"rope_theta"}))) {
    return;
  }
  const double factor = fields.number({"partial_rotary_factor"}).value_or(1.0);
  model.rotary_dim = static_cast<std::int64_t>(static_cast<double>(model.head_dim) * factor) / 2 * 2;
  model.rope_interleaved = diffusion || is_one_of(type, {"glm", "glm4", "cohere", "gptj"});
}

void read_experts(ModelConfig& model, const Fields& fields, const std::string& type,
                  const std::string& origin) {
  const std::int64_t dense = fields.integer({"intermediate_size", "ffn_dim", "n_inner"}).value_or(0);
  model.experts =
      fields.integer({"n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts"}).value_or(0);
  if (model.experts == 0) {
    model.intermediate = dense;
    return;
  }
  model.top_k = fields.integer(top_k_names).value_or(0);
  if (model.top_k < 1 || model.top_k > model.experts) {
    throw Error(
        ErrorCode::io_error,
        fmt::format(
            "{}: a model of {} experts needs a number of experts per token from 1 to {}, got {}; looked "
            "for {}",
            origin, model.experts, model.experts, model.top_k, fmt::join(top_k_names, ", ")));
  }
  const auto expert_width = fields.integer({"moe_intermediate_size", "expert_intermediate_size"});
  model.moe_intermediate = expert_width.value_or(dense);
  // If experts have a width of their own, intermediate_size is the width of the leading dense layers, if
  // there are any.
  const bool has_dense = fields.integer({"first_k_dense_replace"}).value_or(0) > 0;
  model.intermediate = expert_width && has_dense ? dense : 0;

  model.groups = fields.integer({"n_group"}).value_or(0);
  model.topk_group = fields.integer({"topk_group"}).value_or(0);
  if (model.groups > 0 &&
      (model.experts % model.groups != 0 || model.topk_group < 1 || model.topk_group > model.groups)) {
    throw Error(
        ErrorCode::io_error,
        fmt::format("{}: n_group = {} with topk_group = {} cannot divide {} experts into equal groups",
                    origin, model.groups, model.topk_group, model.experts));
  }
  const bool one_shared = fields.integer({"shared_expert_intermediate_size"}).value_or(0) > 0;
  model.shared_experts = fields.integer({"n_shared_experts", "num_shared_experts", "moe_num_shared_experts"})
                             .value_or(one_shared ? 1 : 0);
  model.routed_scaling_factor = fields.number({"routed_scaling_factor"}).value_or(1.0);
  const std::string scoring = fields.text({"scoring_func"});
  model.sigmoid_gate = scoring.empty()
                           ? is_one_of(type, {"deepseek_v3", "kimi_k2", "glm4_moe", "glm4v_moe_text"})
                           : scoring == "sigmoid";
  // If the field is absent, use the defaults of Hugging Face transformers.
  model.renormalize =
      fields.boolean({"norm_topk_prob"}).value_or(!is_one_of(type, {"deepseek_v2", "qwen2_moe"}));
}

void read_norms(ModelConfig& model, const Fields& fields, const std::string& type) {
  model.norm_eps =
      fields
          .number({"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps", "eps"})
          .value_or(1e-6);
  const bool offset =
      is_one_of(type, {"gemma", "gemma2", "gemma3", "gemma3_text", "recurrent_gemma", "qwen3_next"});
  model.norm_weight_offset = offset ? 1.0 : 0.0;
  const bool always =
      type.starts_with("qwen3") || type.starts_with("gemma3") ||
      is_one_of(model.architecture, {"FluxTransformer2DModel", "QwenImageTransformer2DModel"});
  // In diffusers configs, qk_norm is the name of a norm; only a flag means one norm for each head.
  const nlohmann::json* named = fields.any("qk_norm");
  const bool per_head = named != nullptr && named->is_boolean() && named->get<bool>();
  model.qk_norm = fields.boolean({"use_qk_norm"}).value_or(always || per_head);
}

/// The activation function, by the name that the ops use.
std::string read_activation(const Fields& fields, const std::string& type) {
  const std::string name = fields.text({"hidden_act", "hidden_activation", "activation_function"});
  if (type == "gpt_oss") {
    return "swiglu_oai";  // although its config says silu
  }
  if (is_one_of(name, {"gelu_pytorch_tanh", "gelu_new", "gelu_fast"})) {
    return "gelu_tanh";
  }
  return name == "swish" ? "silu" : name;
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

}  // namespace

ModelConfig parse_model_config(std::string_view text, const std::string& origin, std::string name,
                               std::vector<std::string>* unmapped) {
  const nlohmann::json root = parse_json(text, origin);
  if (!root.is_object()) {
    throw Error(ErrorCode::io_error,
                fmt::format("{}: the top level must be an object, not {}", origin, root.type_name()));
  }
  const Fields top(root, origin);
  const Fields fields(language_part(root, origin), origin);

  ModelConfig model;
  model.name = std::move(name);
  model.architecture = class_name(top, origin);
  model.layer_norm = top.any("_class_name") != nullptr;
  const std::string dtype = fields.text({"torch_dtype", "dtype"});
  model.dtype = parse_torch_dtype(dtype.empty() ? top.text({"torch_dtype", "dtype"}) : dtype, origin);
  const std::string type = fields.text({"model_type"});
  model.hidden_act = read_activation(fields, type);
  read_hidden(model, fields, origin);
  read_attention(model, fields);
  read_rope(model, fields, type);
  read_experts(model, fields, type, origin);
  read_norms(model, fields, type);
  if (unmapped != nullptr && !is_known(type, model.architecture)) {
    *unmapped = fields.unasked();
  }
  return model;
}

ModelConfig load_model_config(const std::string& name_or_path, std::vector<std::string>* unmapped) {
  const std::string name = lower(name_or_path);
  std::vector<std::string> known;
  for (const ShippedModel& model : shipped_models()) {
    known.emplace_back(model.name);
    if (model.name == name) {
      return parse_model_config(model.text, fmt::format("model {}", model.name), std::string(model.name),
                                unmapped);
    }
  }
  constexpr std::uint64_t limit = 16U << 20U;
  if (is_directory(name_or_path)) {
    const std::string path = name_or_path + (name_or_path.ends_with('/') ? "config.json" : "/config.json");
    return parse_model_config(read_file(path, limit), path, model_name(path), unmapped);
  }
  if (is_file(name_or_path) || name_or_path.ends_with(".json") || name_or_path.starts_with('/') ||
      name_or_path.starts_with('.')) {
    return parse_model_config(read_file(name_or_path, limit), name_or_path, model_name(name_or_path),
                              unmapped);
  }
  const std::string nearest = nearest_name(name.substr(name.find_last_of('/') + 1), known);
  throw UsageError(
      fmt::format("unknown model '{}'{}; known are {}, or give the path of a config.json", name_or_path,
                  nearest.empty() ? std::string() : fmt::format(" (did you mean {}?)", nearest),
                  fmt::join(known, ", ")),
      ErrorCode::not_found);
}

}  // namespace kerncast::tools
