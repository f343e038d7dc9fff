#pragma once

#include <string>
#include <vector>

#include "cache/tuning/tuned_record.hpp"

namespace kerncast::cache {

/// The digest of the records that launches choose from: XXH3-128 over serialise_records() of each layer, in
/// order of search, as 32 hex digits. Layers without records do not count, and neither do the names of layers
/// and the signatures, which differ between machines that choose alike. The records of a layer must be in
/// order.
[[nodiscard]] std::string tuned_digest(const std::vector<std::vector<TunedRecord>>& layers);

}  // namespace kerncast::cache
