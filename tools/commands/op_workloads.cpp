#include "tools/commands/op_workloads.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "tools/io/usage_error.hpp"
#include "tools/model/model_config.hpp"
#include "tools/model/model_report.hpp"
#include "tools/model/settings.hpp"

namespace kerncast::tools {
namespace {

/// The settings of `base`, replaced or extended by those of `given`.
template <class Value>
std::vector<std::pair<std::string, Value>> merged(std::vector<std::pair<std::string, Value>> base,
                                                  const std::vector<std::pair<std::string, Value>>& given) {
  for (const auto& setting : given) {
    const auto known = std::find_if(base.begin(), base.end(),
                                    [&](const auto& entry) { return entry.first == setting.first; });
    if (known == base.end()) {
      base.push_back(setting);
    } else {
      known->second = setting.second;
    }
  }
  return base;
}

}  // namespace

std::vector<Workload> choose_op_workloads(const OpDefinition& op, const std::vector<std::string>& settings,
                                          const std::string& model, bool best_effort, Console& console) {
  if (best_effort && model.empty()) {
    throw UsageError("--best-effort goes with --model only");
  }
  const Settings given = parse_settings(op, settings);
  if (model.empty()) {
    static_cast<void>(specialise_settings(op, given));
    return {{&op, "", given.params, given.scalars}};
  }
  const ModelReading reading = load_model(model);
  announce_guess(reading, console);
  require_known(reading, best_effort);
  std::vector<Workload> chosen;
  for (Workload& workload : workloads_of(reading.config)) {
    if (workload.op != &op) {
      continue;
    }
    workload.params = merged(std::move(workload.params), given.params);
    workload.scalars = merged(std::move(workload.scalars), given.scalars);
    static_cast<void>(specialise_settings(op, {workload.params, workload.scalars}));
    const auto same = std::find_if(chosen.begin(), chosen.end(), [&](const Workload& other) {
      return other.params == workload.params && other.scalars == workload.scalars;
    });
    if (same == chosen.end()) {
      chosen.push_back(std::move(workload));
    } else {
      same->label += ", " + workload.label;
    }
  }
  if (chosen.empty()) {
    throw UsageError(fmt::format("{} does not use {}", reading.config.name, op.name));
  }
  return chosen;
}

}  // namespace kerncast::tools
