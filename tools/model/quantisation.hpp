#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/model/quant_scheme.hpp"

namespace kerncast::tools {

/// Quantisation of the linear layers, as a checkpoint states it.
struct Quantisation {
  std::vector<QuantScheme> schemes;  ///< of the activations; empty: they stay as they are
  std::string text;                  ///< "fp8 in blocks of 128", "weights only (awq)"
  std::string source;                ///< "key quantization_config"
  bool spares_attention = false;     ///< the layers of attention are not quantised
  bool is_plain = false;             ///< no weights are quantised either
  std::vector<std::string> not_offered;
};

/// Reads quantization_config of `root`, else that of `part`, else `beside`, the content of
/// hf_quant_config.json beside the config (null if there is none). `has_experts` says whether the model has
/// expert layers, which some schemes quantise in another way. Throws Error(io_error) for a field of the wrong
/// type.
[[nodiscard]] Quantisation read_quantisation(const nlohmann::json& root, const nlohmann::json& part,
                                             const nlohmann::json& beside, bool has_experts);

}  // namespace kerncast::tools
