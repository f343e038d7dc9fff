#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kerncast/model.hpp"
#include "tools/model/model_builder.hpp"
#include "tools/model/quant_scheme.hpp"

namespace kerncast::tools {

/// All that was read from a model's files.
struct ModelReading {
  ModelConfig config;
  std::string family;                       ///< the entry that was used
  bool known = false;                       ///< false: no entry fits, and all is guessed
  std::vector<QuantScheme> schemes;         ///< how activations are quantised; empty: they are not
  std::vector<ModelFact> facts;             ///< what was read, and from where
  std::vector<std::string> not_offered;     ///< steps of the model that no op computes
  std::vector<std::string> not_understood;  ///< fields that the guess did not use, if it is one
};

/// Reads a Hugging Face config.json, or the config.json of a diffusers transformer, by its family. `origin`
/// names the text in errors; `name` becomes ModelConfig::name. `quantisation` is the text of the
/// hf_quant_config.json beside it, or empty. NaN and Infinity, as Python writes them, count as absent. Throws
/// Error(io_error) for malformed JSON, for a field of the wrong type or out of range, and if no hidden size
/// is found (with the fields that were tried).
[[nodiscard]] ModelReading read_model(std::string_view text, const std::string& origin, std::string name,
                                      std::string_view quantisation = {});

/// Reads a model that ships with the command, by name (case does not matter), or a config.json, or a
/// directory with one. Throws UsageError if the argument is none of these, with the known names and the
/// nearest.
[[nodiscard]] ModelReading load_model(const std::string& name_or_path);

/// The config of load_model().
[[nodiscard]] ModelConfig load_model_config(const std::string& name_or_path);

}  // namespace kerncast::tools
