#include "tools/model/config_fields.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace kerncast::tools {
namespace {

/// True for fields about vocabulary, training, files and text generation.
bool is_irrelevant(const std::string& name) {
  constexpr const char* exact[] = {"vocab_size",
                                   "initializer_range",
                                   "transformers_version",
                                   "model_type",
                                   "num_hidden_layers",
                                   "num_layers",
                                   "tie_word_embeddings",
                                   "pretraining_tp",
                                   "use_cache",
                                   "max_position_embeddings",
                                   "_name_or_path",
                                   "_diffusers_version",
                                   "_class_name",
                                   "_commit_hash",
                                   "architectures",
                                   "auto_map",
                                   "attn_implementation",
                                   "gradient_checkpointing",
                                   "router_aux_loss_coef",
                                   "output_router_logits",
                                   "aux_loss_alpha",
                                   "seq_aux",
                                   "in_channels",
                                   "out_channels",
                                   "id2label",
                                   "label2id"};
  return name.ends_with("_token_id") || name.find("dropout") != std::string::npos ||
         std::find(std::begin(exact), std::end(exact), name) != std::end(exact);
}

/// Encoders of images and sounds have kernels of their own, which no family plans.
bool is_other_part(const std::string& name) {
  return name.find("vision") != std::string::npos || name.find("audio") != std::string::npos ||
         name == "quantization_config" || name == "id2label" || name == "label2id";
}

void collect(const nlohmann::json& object, const std::string& path, const std::set<std::string>& asked,
             std::vector<std::string>& out) {
  for (const auto& [name, value] : object.items()) {
    const std::string key = path.empty() ? name : path + "." + name;
    if (value.is_null() || asked.contains(key) || is_irrelevant(name)) {
      continue;
    }
    if (value.is_object()) {
      if (!is_other_part(name)) {
        collect(value, key, asked, out);
      }
    } else if (!(value.is_array() && value.empty())) {
      out.push_back(key);
    }
  }
}

/// True if `path` leads to null.
bool null_at(const nlohmann::json& object, std::string_view path) {
  const nlohmann::json* at = &object;
  for (bool last = false; !last;) {
    const std::size_t dot = path.find('.');
    last = dot == std::string_view::npos;
    if (!at->is_object()) {
      return false;
    }
    const auto found = at->find(std::string(path.substr(0, dot)));
    if (found == at->end()) {
      return false;
    }
    at = &*found;
    path.remove_prefix(last ? path.size() : dot + 1);
  }
  return at->is_null();
}

}  // namespace

const nlohmann::json* value_at(const nlohmann::json& object, std::string_view path) {
  const nlohmann::json* at = &object;
  while (true) {
    const std::size_t dot = path.find('.');
    if (!at->is_object()) {
      return nullptr;
    }
    const auto found = at->find(std::string(path.substr(0, dot)));
    if (found == at->end() || found->is_null()) {
      return nullptr;
    }
    at = &*found;
    if (dot == std::string_view::npos) {
      return at;
    }
    path.remove_prefix(dot + 1);
  }
}

ConfigFields::ConfigFields(const nlohmann::json& root, const nlohmann::json& part, std::string part_path,
                           const nlohmann::json& defaults, std::string origin)
    : root_(root),
      part_(part),
      part_path_(std::move(part_path)),
      defaults_(defaults),
      origin_(std::move(origin)) {}

std::string ConfigFields::full_path(const std::string& key) const {
  if (key.starts_with('/')) {
    return key.substr(1);
  }
  return part_path_.empty() ? key : part_path_ + "." + key;
}

std::optional<ConfigFields::Field> ConfigFields::find(const std::vector<std::string>& keys) const {
  for (const std::string& key : keys) {
    asked_.insert(full_path(key));
  }
  for (const std::string& key : keys) {
    const nlohmann::json* value =
        key.starts_with('/') ? value_at(root_, std::string_view(key).substr(1)) : value_at(part_, key);
    if (value != nullptr) {
      return Field{value, full_path(key), false};
    }
  }
  // Null in the file is the absence of the thing, such as a model without a latent q, and not the default.
  const auto is_null = [&](const std::string& key) {
    return key.starts_with('/') ? null_at(root_, std::string_view(key).substr(1)) : null_at(part_, key);
  };
  if (std::any_of(keys.begin(), keys.end(), is_null)) {
    return std::nullopt;
  }
  for (const std::string& key : keys) {
    if (const nlohmann::json* value = value_at(defaults_, key)) {
      return Field{value, key, true};
    }
  }
  return std::nullopt;
}

std::vector<std::string> ConfigFields::not_understood() const {
  std::vector<std::string> out;
  collect(root_, "", asked_, out);
  return out;
}

}  // namespace kerncast::tools
