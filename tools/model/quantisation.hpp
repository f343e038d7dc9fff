#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kerncast/model.hpp"
#include "tools/model/quant_scheme.hpp"

namespace kerncast::tools {

/// Quantisation of the linear layers, as a checkpoint states it.
struct Quantisation {
  std::vector<QuantScheme> schemes;  ///< of the activations; empty: they stay as they are
  std::string text;                  ///< "fp8 in blocks of 128", "weights only (awq)"
  std::string source;                ///< "key quantization_config"
  bool spares_attention = false;     ///< the layers of attention are not quantised
  bool is_plain = false;             ///< no weights are quantised either
  /// mxfp4 or int4, if weights are stored so and engines may multiply them by rows that are not quantised
  std::optional<ExpertMatrices> packed_weights;
  std::vector<std::string> not_offered;
};

/// Reads quantization_config of `root`, else that of `part`, else `beside`, the content of
/// hf_quant_config.json beside the config (null if there is none). `has_experts` says whether the model has
/// expert layers, which some schemes quantise in another way. Throws Error(io_error) for a field of the wrong
/// type.
[[nodiscard]] Quantisation read_quantisation(const nlohmann::json& root, const nlohmann::json& part,
                                             const nlohmann::json& beside, bool has_experts);

}  // namespace kerncast::tools
