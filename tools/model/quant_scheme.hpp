#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/model/workload.hpp"

namespace kerncast::tools {

/// How a model's activations are quantised when it is served, by the names of serving engines.
enum class QuantScheme : std::uint8_t {
  none,
  fp8_block,  ///< fp8-block: groups of 128, as DeepSeek-V3
  fp8,        ///< a scale per tensor or token
  int8,
  nvfp4,
  mxfp8,
  mxfp4,
};

/// "fp8-block". Throws UsageError listing the names and the nearest.
[[nodiscard]] QuantScheme parse_quant_scheme(const std::string& name);

/// The scheme `workload` serves; none for what every scheme needs.
[[nodiscard]] QuantScheme scheme_of(const Workload& workload);

}  // namespace kerncast::tools
