#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/model/model_config.hpp"
#include "tools/model/workload.hpp"

namespace kerncast::tools {

/// The part of a model that a plan is for: its ranks, how its activations are quantised, and which ops count.
struct ModelSelection {
  std::vector<std::int64_t> tensor_ranks = {1};  ///< numbers of ranks of tensor parallelism
  std::int64_t expert_ranks = 1;                 ///< ranks that the experts are spread over
  std::string quant;  ///< a QuantScheme's name, or "all"; empty: what each model says of itself
  std::vector<std::string> op_globs;  ///< "quant.*"; empty: every op

  /// True if the patterns let an op through.
  [[nodiscard]] bool includes(const std::string& op) const;
};

/// Throws UsageError for a pattern that no op of the library has, and for a misspelt scheme.
void check_selection(const ModelSelection& selection);

/// The first pattern of `selection` that none of the `ops` fits; empty if each pattern fits one of them.
[[nodiscard]] std::string unmatched_glob(const ModelSelection& selection,
                                         const std::vector<std::string>& ops);

/// A model as one rank of it computes.
struct RankOfModel {
  std::string where;  ///< the model's name, with "tp N" if other numbers of ranks than one are selected
  ModelConfig model;
  std::vector<Workload> workloads;  ///< of every op and scheme; the selection has not been applied
};

/// The ranks of `model` that `selection` names, one for each number of ranks of tensor parallelism. Throws
/// UsageError if a size of the model cannot be divided.
[[nodiscard]] std::vector<RankOfModel> ranks_of(const ModelConfig& model, const ModelSelection& selection);

}  // namespace kerncast::tools
