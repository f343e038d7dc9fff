#pragma once

#include <string>
#include <vector>

#include "tools/io/command_context.hpp"
#include "tools/warm/warm_run.hpp"

namespace kerncast::tools {

/// Writes the kernels of `results`, which are all in the store of `runtime`, to the pack at `path`, whole or
/// not at all, and says so. Throws Error(io_error).
void write_pack(CommandContext& context, Runtime& runtime, const std::string& path,
                const std::vector<WarmResult>& results);

}  // namespace kerncast::tools
