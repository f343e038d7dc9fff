#include "tools/commands/tune/tuned_selection.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "kerncast/error.hpp"
#include "tools/commands/cache/cache_command.hpp"
#include "tools/model/settings.hpp"

namespace kerncast::tools {

void TunedSelection::check() const {
  for (const std::string& arch : archs) {
    check_arch(arch);
  }
}

bool TunedSelection::wants(const std::string& op_name, const std::string& arch) const {
  return (op.empty() || names_op(op, op_name)) &&
         (archs.empty() || std::find(archs.begin(), archs.end(), arch) != archs.end());
}

void add_tuned_selection(const Command& command, TunedSelection& selection, const std::string& what) {
  command.option("op", selection.op, fmt::format("Only {} of this op, such as norm.rms_norm", what));
  command.option("--arch", selection.archs, fmt::format("Only {} of these architectures", what)).separated();
}

void refuse_empty(const TunedSelection& selection, const std::string& what, const std::string& command) {
  throw Error(
      ErrorCode::not_found,
      fmt::format("there is no {}{}{}; `{}` alone lists all", what,
                  selection.op.empty() ? "" : " of " + selection.op,
                  selection.archs.empty() ? "" : fmt::format(" for {}", fmt::join(selection.archs, " or ")),
                  command));
}

}  // namespace kerncast::tools
