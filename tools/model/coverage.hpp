#pragma once

#include <string>
#include <vector>

#include "kerncast/model.hpp"
#include "tools/model/quant_scheme.hpp"
#include "tools/model/workload.hpp"

namespace kerncast::tools {

/// A part of a model that no op serves.
struct UncoveredPart {
  std::string ops;  ///< the ops that would, such as "activation.*"
  std::string why;
};

/// The parts of `model`, as one rank sees it, that none of `workloads` serves: a width that no op of its kind
/// takes, or an input that no op quantises by one of `schemes`.
[[nodiscard]] std::vector<UncoveredPart> uncovered_parts(const ModelConfig& model,
                                                         const std::vector<Workload>& workloads,
                                                         const std::vector<QuantScheme>& schemes);

}  // namespace kerncast::tools
