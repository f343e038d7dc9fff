#pragma once

#include <string>
#include <vector>

#include "tools/commands/command.hpp"

namespace kerncast::tools {

/// The op and the architectures that a list of records or trials is about; all of them if none are named.
struct TunedSelection {
  std::string op;  ///< with or without its family
  std::vector<std::string> archs;

  /// Throws UsageError if an architecture is none.
  void check() const;
  [[nodiscard]] bool everything() const { return op.empty() && archs.empty(); }
  [[nodiscard]] bool wants(const std::string& op_name, const std::string& arch) const;
};

/// Declares the positional OP and the option --arch, for a list of `what`, such as "records".
void add_tuned_selection(const Command& command, TunedSelection& selection, const std::string& what);

/// Throws Error(not_found), which says how to list all: no `what`, such as "tuned record", is selected.
[[noreturn]] void refuse_empty(const TunedSelection& selection, const std::string& what,
                               const std::string& command);

}  // namespace kerncast::tools
