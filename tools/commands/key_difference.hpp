#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kerncast/op.hpp"

namespace kerncast::tools {

/// The labelled fields that a key is made of.
using KeyFieldList = std::vector<std::pair<std::string, std::string>>;

/// One way in which a cached kernel is not the one wanted.
struct KeyDifference {
  std::string field;   ///< "compiler", "architecture", "parameter", "tunable", "template", "option", "source"
  std::string name;    ///< of the parameter, tunable, template file or option
  std::string cached;  ///< empty where the cached kernel has none, and for texts
  std::string wanted;  ///< empty where the wanted kernel has none, and for texts
  std::string text;    ///< "compiler 13.0 -> 13.1", "template changed: norm/rms_norm.cuh"
};

/// What tells two keys of `op` apart, from the cached kernel's to the wanted one's.
[[nodiscard]] std::vector<KeyDifference> key_differences(const OpDefinition& op, const KeyFieldList& cached,
                                                         const KeyFieldList& wanted);

/// How far apart they are; the nearest cached kernel explains a miss best. Another shape is further than
/// another architecture, which is further than other tunables, and these than what an upgrade changes.
[[nodiscard]] int distance(const std::vector<KeyDifference>& differences);

}  // namespace kerncast::tools
