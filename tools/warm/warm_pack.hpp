#pragma once

#include <string>
#include <vector>

#include "tools/io/command_context.hpp"
#include "tools/warm/warm_run.hpp"

namespace kerncast::tools {

/// Writes the kernels of `results` to the pack at `path`, completely or not at all, and reports it on the
/// console. The key in the file `signing_key`, unless empty, signs them. All of them must be in the store of
/// `runtime`. Throws Error(io_error).
void write_pack(CommandContext& context, Runtime& runtime, const std::string& path,
                const std::vector<WarmResult>& results, const std::string& signing_key);

}  // namespace kerncast::tools
