#pragma once

#include <string>

namespace kerncast::compiler::worker {

/// A worker's whole life: greets on the socket `fd`, then compiles what it is sent, one after another, until
/// the parent is gone. `nvrtc` as load_nvrtc takes it. Returns the process's exit code.
[[nodiscard]] int serve(int fd, const std::string& nvrtc);

}  // namespace kerncast::compiler::worker
