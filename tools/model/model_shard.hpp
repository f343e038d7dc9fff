#pragma once

#include <cstdint>

#include "kerncast/model.hpp"

namespace kerncast::tools {

/// What one rank of `model` launches under tensor parallelism over `tp` ranks and expert parallelism over
/// `ep`: attention heads and dense MLPs are divided by tp (key-value heads to no fewer than one), experts by
/// ep, and each expert by tp / ep where that is more than 1. Throws UsageError naming the size that does not
/// divide.
[[nodiscard]] ModelConfig shard_model(const ModelConfig& model, std::int64_t tp, std::int64_t ep);

}  // namespace kerncast::tools
