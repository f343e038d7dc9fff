#include "tools/model/model_selection.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "kerncast/op_definition.hpp"
#include "runtime/util/nearest_name.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/model_shard.hpp"
#include "tools/model/quant_scheme.hpp"

namespace kerncast::tools {
namespace {

/// The text after the family of an op's name.
std::string short_name(const std::string& op) {
  return op.substr(op.find('.') + 1);
}

/// True if `glob` selects `op` by its whole name or by the part after the family.
bool selects(const std::string& glob, const std::string& op) {
  return fnmatch(glob.c_str(), op.c_str(), 0) == 0 || fnmatch(glob.c_str(), short_name(op).c_str(), 0) == 0;
}

}  // namespace

bool ModelSelection::includes(const std::string& op) const {
  return op_globs.empty() || std::any_of(op_globs.begin(), op_globs.end(),
                                         [&](const std::string& glob) { return selects(glob, op); });
}

std::string unmatched_glob(const ModelSelection& selection, const std::vector<std::string>& ops) {
  for (const std::string& glob : selection.op_globs) {
    if (std::none_of(ops.begin(), ops.end(), [&](const std::string& op) { return selects(glob, op); })) {
      return glob;
    }
  }
  return {};
}

void check_selection(const ModelSelection& selection) {
  std::vector<std::string> names;
  for (const OpDefinition* op : OpRegistry::instance().all()) {
    names.push_back(op->name);
  }
  if (const std::string glob = unmatched_glob(selection, names); !glob.empty()) {
    const std::string nearest = nearest_name(glob, names);
    throw UsageError(fmt::format("--ops {} matches no op{}; `kerncast ops` lists them", glob,
                                 nearest.empty() ? "" : fmt::format(" (did you mean {}?)", nearest)));
  }
  static_cast<void>(QuantSelection(selection.quant, {}));
}

std::vector<RankOfModel> ranks_of(const ModelConfig& model, const ModelSelection& selection) {
  const bool whole = selection.tensor_ranks == std::vector<std::int64_t>{1};
  std::vector<RankOfModel> ranks;
  for (const std::int64_t tp : selection.tensor_ranks) {
    RankOfModel& rank = ranks.emplace_back();
    rank.where = whole ? model.name : fmt::format("{} tp {}", model.name, tp);
    rank.model = shard_model(model, tp, selection.expert_ranks);
    rank.workloads = workloads_of(rank.model);
  }
  return ranks;
}

}  // namespace kerncast::tools
