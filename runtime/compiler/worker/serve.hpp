#pragma once

#include <string>

namespace kerncast::compiler::worker {

/// Runs a worker: sends the greeting on the socket `fd`, then compiles one request after another until the
/// parent is gone. `nvrtc` is a choice as load_nvrtc takes it. Returns the exit code of the process.
[[nodiscard]] int serve(int fd, const std::string& nvrtc);

}  // namespace kerncast::compiler::worker
