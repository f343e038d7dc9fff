#pragma once

#include "tools/tune/search/strategy.hpp"

/// The strategies of the registry; each is defined in a file of its own.
namespace kerncast::tools {

[[nodiscard]] StrategyInfo exhaustive_strategy();
[[nodiscard]] StrategyInfo random_strategy();
[[nodiscard]] StrategyInfo model_strategy();
[[nodiscard]] StrategyInfo descent_strategy();
[[nodiscard]] StrategyInfo annealing_strategy();
[[nodiscard]] StrategyInfo guided_strategy();

}  // namespace kerncast::tools
