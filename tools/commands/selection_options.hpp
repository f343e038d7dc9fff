#pragma once

#include "tools/commands/command.hpp"
#include "tools/model/model_selection.hpp"

namespace kerncast::tools {

/// Declares --tp, --ep, --quant and --ops, which set `selection`; it must live as long as the command.
void add_selection_options(const Command& command, ModelSelection& selection);

}  // namespace kerncast::tools
