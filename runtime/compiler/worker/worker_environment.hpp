#pragma once

#include <string>
#include <vector>

namespace kerncast::compiler::worker {

/// The environment of a worker, as NAME=VALUE: of this process's variables only those that finding and
/// running NVRTC may need. Passwords and tokens have names of every kind, so that a list of what to leave out
/// would not be complete. Empty in a process with raised privileges: the worker loads code and its answers
/// are run here, so it must not obey variables that this process ignores.
[[nodiscard]] std::vector<std::string> worker_environment();

}  // namespace kerncast::compiler::worker
