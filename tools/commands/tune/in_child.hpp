#pragma once

#include <functional>
#include <string>

#include "tools/io/command_context.hpp"

namespace kerncast::tools {

/// Runs `work` in a child process and waits for it, since the virtual GPU has one device in each process.
/// Returns the exit code of `work`; `answer` is what it put there. What it throws is printed in the child and
/// becomes the exit code that it would have as a command. A child that a signal ends is an error that names
/// `subject`, the device that the work is for. While it runs, an interrupt is passed on to the child. Throws
/// Error if no process can be started. No other thread of this process may run.
[[nodiscard]] int in_child(CommandContext& context, const std::string& subject,
                           const std::function<int(std::string& answer)>& work, std::string& answer);

}  // namespace kerncast::tools
