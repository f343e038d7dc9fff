#pragma once

#include <string>
#include <vector>

#include "cache/key.hpp"
#include "kerncast/op_definition.hpp"

namespace kerncast::tools {

using cache::KeyFieldList;

/// A difference between a cached kernel and the wanted one.
struct KeyDifference {
  std::string field;   ///< "compiler", "architecture", "parameter", "tunable", "template", "option", "source"
  std::string name;    ///< name of the parameter, tunable, template file or option
  std::string cached;  ///< value of the cached kernel; empty if it has none, and for template text
  std::string wanted;  ///< value of the wanted kernel; empty if it has none, and for template text
  std::string text;    ///< such as "compiler 13.0 -> 13.1" or "template changed: norm/rms_norm/kernel.cuh"
};

/// The differences between two keys of `op`, from the cached kernel to the wanted one.
[[nodiscard]] std::vector<KeyDifference> key_differences(const OpDefinition& op, const KeyFieldList& cached,
                                                         const KeyFieldList& wanted);

/// The distance that `differences` make; the nearest cached kernel explains a miss best. A different shape
/// counts most, then a different architecture, then tunables, then everything that an upgrade changes.
[[nodiscard]] int distance(const std::vector<KeyDifference>& differences);

}  // namespace kerncast::tools
