#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "kerncast/op_definition.hpp"
#include "runtime/dispatch/source_text/fingerprint.hpp"
#include "runtime/util/nearest_name.hpp"

namespace kerncast {

/// Generated from the list of ops in templates/.
void register_builtin_ops(OpRegistry& registry);

struct OpRegistry::State {
  mutable std::mutex mutex;
  std::map<std::string, std::unique_ptr<OpDefinition>, std::less<>> ops;
};

// Never destroyed: ops are called from hosts' static destructors too.
OpRegistry::OpRegistry() : state_(new State) {}

OpRegistry& OpRegistry::instance() {
  static OpRegistry* registry = [] {
    auto* made = new OpRegistry;
    register_builtin_ops(*made);
    return made;
  }();
  return *registry;
}

const OpDefinition& OpRegistry::add(OpDefinition definition) {
  const auto refuse = [&](std::string_view why) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("cannot register op '{}': {}", definition.name, why));
  };
  if (definition.name.find('.') == std::string::npos) {
    refuse("its name must be family.op");
  }
  TemplateNames names = template_names(definition);
  definition.include = std::move(names.include);
  definition.kernel = std::move(names.kernel);
  definition.arguments_type = std::move(names.arguments_type);
  if (definition.default_tunables == nullptr || definition.geometry == nullptr ||
      definition.bind == nullptr) {
    refuse("default_tunables, geometry and bind must be set");
  }
  if (definition.later_stages.size() >= OpDefinition::max_stages) {
    refuse(fmt::format("it has more than {} stages", OpDefinition::max_stages));
  }
  for (const LaterStage& stage : definition.later_stages) {
    if (stage.kernel.empty() || stage.geometry == nullptr) {
      refuse("kernel and geometry of every later stage must be set");
    }
  }
  if (definition.params.size() > Specialisation::max_params) {
    refuse(fmt::format("it has more than {} parameters", Specialisation::max_params));
  }
  if (definition.tunables.size() > Tunables::max_tunables) {
    refuse(fmt::format("it has more than {} tunables", Tunables::max_tunables));
  }
  for (const TunableSpec& tunable : definition.tunables) {
    if (tunable.multiple_of < 1 || tunable_values(tunable).empty()) {
      refuse(fmt::format("tunable {} has no valid value", tunable.name));
    }
  }
  const std::lock_guard lock(state_->mutex);
  if (state_->ops.contains(definition.name)) {
    refuse("the name is taken");
  }
  std::string name = definition.name;
  auto stored = std::make_unique<OpDefinition>(std::move(definition));
  IdentityAccess::seal(*stored);
  return *state_->ops.emplace(std::move(name), std::move(stored)).first->second;
}

const OpDefinition* OpRegistry::find(std::string_view name) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->ops.find(name);
  return found == state_->ops.end() ? nullptr : found->second.get();
}

const OpDefinition& OpRegistry::require(std::string_view name) const {
  if (const OpDefinition* op = find(name)) {
    return *op;
  }
  std::vector<std::string> names;
  std::vector<std::string> compared;
  // A name without a family is compared with names without theirs.
  const bool is_short = name.find('.') == std::string_view::npos;
  const std::vector<const OpDefinition*> ops = all();
  names.reserve(ops.size());
  compared.reserve(ops.size());
  for (const OpDefinition* op : ops) {
    names.push_back(op->name);
    compared.push_back(is_short ? op->name.substr(op->name.find('.') + 1) : op->name);
  }
  const std::string nearest = nearest_name(name, compared);
  if (nearest.empty()) {
    throw Error(ErrorCode::not_found,
                fmt::format("unknown op '{}'; known: {}", name, fmt::join(names, ", ")));
  }
  const auto place = std::find(compared.begin(), compared.end(), nearest) - compared.begin();
  throw Error(ErrorCode::not_found,
              fmt::format("unknown op '{}' (did you mean {}?); `kerncast ops` lists all", name,
                          names[static_cast<std::size_t>(place)]));
}

std::vector<const OpDefinition*> OpRegistry::all() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<const OpDefinition*> ops;
  ops.reserve(state_->ops.size());
  for (const auto& [name, op] : state_->ops) {
    ops.push_back(op.get());
  }
  return ops;
}

}  // namespace kerncast
