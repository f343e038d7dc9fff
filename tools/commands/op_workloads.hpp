#pragma once

#include <string>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "tools/io/console.hpp"
#include "tools/model/workload.hpp"

namespace kerncast::tools {

/// The workloads of `op` that a command line names: the op at each of its shapes in `model`, where `settings`
/// override single values, or without a model the one shape that `settings` give. Throws UsageError for
/// settings that do not fit the op, a model that does not use it, and `best_effort` without a model; throws
/// as load_model() and require_known() do.
[[nodiscard]] std::vector<Workload> choose_op_workloads(const OpDefinition& op,
                                                        const std::vector<std::string>& settings,
                                                        const std::string& model, bool best_effort,
                                                        Console& console);

}  // namespace kerncast::tools
