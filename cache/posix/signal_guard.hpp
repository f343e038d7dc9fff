#pragma once

#include <csignal>

namespace kerncast::cache {

/// While it lives, `signal` is held back from this thread, and one that this thread earned meanwhile is taken
/// off at the end, so that the host's handlers and other threads see no change. For the signals that the
/// kernel sends to a writing thread besides the error that the write returns: SIGXFSZ past RLIMIT_FSIZE and
/// SIGPIPE on a closed connection, which by default end the process.
class SignalGuard {
 public:
  explicit SignalGuard(int signal);
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

 private:
  int signal_;
  sigset_t before_{};
  bool active_ = false;
  bool was_pending_ = false;
};

}  // namespace kerncast::cache
