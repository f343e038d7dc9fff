#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"

namespace kerncast::tools {

/// An op at one shape of a model.
struct Workload {
  const OpDefinition* op = nullptr;
  std::string
      label;  ///< places in the model that need it, such as "input_layernorm, post_attention_layernorm"
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::pair<std::string, double>> scalars;
};

/// The value of the parameter `name` in `workload`. Empty if it has its default.
[[nodiscard]] std::string_view param_of(const Workload& workload, std::string_view name);

/// The workloads of `model` for all registered ops, in order of op name, each once.
[[nodiscard]] std::vector<Workload> workloads_of(const ModelConfig& model);

/// Sorts row counts and removes duplicates. Throws UsageError for a negative one.
[[nodiscard]] std::vector<std::int64_t> check_rows(std::vector<std::int64_t> rows);

}  // namespace kerncast::tools
