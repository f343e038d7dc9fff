#include "runtime/simulator/ptx/module/function_table.hpp"

#include <string>

namespace kerncast::simulator {

std::optional<std::uint32_t> FunctionTable::find(std::string_view name) const {
  const auto found = indexes_.find(name);
  return found == indexes_.end() ? std::nullopt : std::optional(found->second);
}

std::uint32_t FunctionTable::declare(std::string_view name) {
  const auto [entry, fresh] =
      indexes_.try_emplace(name, static_cast<std::uint32_t>(program_.functions.size()));
  if (fresh) {
    program_.functions.emplace_back().name = std::string(name);
  }
  return entry->second;
}

std::optional<std::uint64_t> FunctionTable::pointer_to(std::string_view name) {
  const std::optional<std::uint32_t> index = find(name);
  if (!index || program_.functions[*index].entry) {
    return std::nullopt;
  }
  pointed_to_.push_back(*index);
  return function_window | *index;
}

void FunctionTable::link_indirect_calls() {
  for (const std::uint32_t caller : indirect_callers_) {
    for (const std::uint32_t callee : pointed_to_) {
      if (program_.functions[callee].defined) {
        program_.functions[caller].callees.push_back(callee);
      }
    }
  }
}

}  // namespace kerncast::simulator
