#pragma once

#include <csignal>

namespace kerncast::cache {

/// While it lives, a write past RLIMIT_FSIZE in this thread fails with EFBIG and nothing else. By default the
/// kernel also sends SIGXFSZ to the writing thread, which ends the host process; the signal is held back and
/// taken off here, so the host's handlers and other threads see no change.
class FileSizeSignalGuard {
 public:
  FileSizeSignalGuard();
  ~FileSizeSignalGuard();
  FileSizeSignalGuard(const FileSizeSignalGuard&) = delete;
  FileSizeSignalGuard& operator=(const FileSizeSignalGuard&) = delete;

 private:
  sigset_t before_{};
  bool active_ = false;
  bool was_pending_ = false;
};

}  // namespace kerncast::cache
