#pragma once

#include <cstdint>

#include "kerncast/model.hpp"

namespace kerncast::tools {

/// The model as one rank sees it, under tensor parallelism over `tp` ranks and expert parallelism over `ep`
/// ranks. Attention heads and dense MLPs are divided by tp (at least one key-value head remains), experts by
/// ep, and each expert by tp / ep if that is more than 1. Throws UsageError that names a size that cannot be
/// divided.
[[nodiscard]] ModelConfig shard_model(const ModelConfig& model, std::int64_t tp, std::int64_t ep);

}  // namespace kerncast::tools
