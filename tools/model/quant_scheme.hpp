#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/model/workload.hpp"

namespace kerncast::tools {

/// How the activations of a served model are quantised. The names are those of serving engines.
enum class QuantScheme : std::uint8_t {
  none,
  fp8_block,  ///< "fp8-block": a scale for each group of 128 elements, as in DeepSeek-V3
  fp8,        ///< a scale for each tensor or token
  int8,
  nvfp4,
  mxfp8,
  mxfp4,
};

/// Parses a scheme such as "fp8-block". Throws UsageError with the known names and the nearest.
[[nodiscard]] QuantScheme parse_quant_scheme(const std::string& name);

/// The scheme that needs `workload`; none if every scheme needs it.
[[nodiscard]] QuantScheme scheme_of(const Workload& workload);

}  // namespace kerncast::tools
