#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kerncast/op.hpp"

namespace kerncast::tools {

/// One op at the shapes of a model, with every place in the model that asks for exactly these.
struct Workload {
  const OpDefinition* op = nullptr;
  std::string label;  ///< "input_layernorm, post_attention_layernorm"
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::pair<std::string, double>> scalars;
};

/// The parameter called `name` as the workload has it; empty where it is left to its default.
[[nodiscard]] std::string_view param_of(const Workload& workload, std::string_view name);

/// What `model` needs of every registered op, in order of op name, each distinct workload once.
[[nodiscard]] std::vector<Workload> workloads_of(const ModelConfig& model);

/// Row counts as typed, sorted and each once. Throws UsageError for a negative one.
[[nodiscard]] std::vector<std::int64_t> check_rows(std::vector<std::int64_t> rows);

}  // namespace kerncast::tools
