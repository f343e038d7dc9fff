#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/model/workload.hpp"

namespace kerncast::tools {

/// Quantisation of the activations of a served model. The names are those of serving engines.
enum class QuantScheme : std::uint8_t {
  none,
  fp8_block,   ///< "fp8-block": a scale for each group of 128 elements, as in DeepSeek-V3
  fp8,         ///< a scale for each tensor or token: the three that follow
  fp8_static,  ///< "fp8-static": one scale of the tensor, which the checkpoint gives
  fp8_tensor,  ///< "fp8-tensor": one scale of the tensor, found as it is quantised
  fp8_token,   ///< "fp8-token": a scale for each token
  int8,
  nvfp4,
  mxfp8,
  mxfp4,
};

/// Parses a scheme such as "fp8-block". Throws UsageError with the known names and the nearest.
[[nodiscard]] QuantScheme parse_quant_scheme(const std::string& name);

[[nodiscard]] std::string name_of_scheme(QuantScheme scheme);

/// True if a model whose activations are quantised by `schemes` needs `workload`. What no scheme needs alone,
/// every model needs.
[[nodiscard]] bool is_needed(const Workload& workload, const std::vector<QuantScheme>& schemes);

/// The workloads that an option --quant lets through.
class QuantSelection {
 public:
  /// `option` is the name of a scheme, "all", or empty for the model's `own` schemes. Throws UsageError.
  QuantSelection(const std::string& option, std::vector<QuantScheme> own);

  [[nodiscard]] bool includes(const Workload& workload) const;
  /// The schemes, which are none if the option is "all".
  [[nodiscard]] const std::vector<QuantScheme>& schemes() const { return schemes_; }

 private:
  bool all_;
  std::vector<QuantScheme> schemes_;
};

/// The scheme that needs `workload`; none if every scheme needs it.
[[nodiscard]] QuantScheme scheme_of(const Workload& workload);

}  // namespace kerncast::tools
