#include "tools/model/workload.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "tools/io/usage_error.hpp"

namespace kerncast::tools {

std::string_view param_of(const Workload& workload, std::string_view name) {
  for (const auto& [key, value] : workload.params) {
    if (key == name) {
      return value;
    }
  }
  return {};
}

std::vector<Workload> workloads_of(const ModelConfig& model) {
  std::vector<Workload> all;
  for (const OpDefinition* op : OpRegistry::instance().all()) {
    if (op->model_cases == nullptr) {
      continue;
    }
    for (ModelCase& wanted : op->model_cases(model)) {
      const auto same = std::find_if(all.begin(), all.end(), [&](const Workload& other) {
        return other.op == op && other.params == wanted.params && other.scalars == wanted.scalars;
      });
      if (same != all.end()) {
        same->label += ", " + wanted.label;
      } else {
        all.push_back({op, std::move(wanted.label), std::move(wanted.params), std::move(wanted.scalars)});
      }
    }
  }
  return all;
}

std::vector<std::int64_t> check_rows(std::vector<std::int64_t> rows) {
  for (const std::int64_t count : rows) {
    if (count < 0) {
      throw UsageError(fmt::format("--rows {} must not be negative", count));
    }
  }
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

}  // namespace kerncast::tools
