#pragma once

#include <csignal>

namespace kerncast::cache {

/// Blocks `signal` in this thread while the object lives, and at the end discards one that this thread
/// received meanwhile, so that the host's handlers and other threads notice nothing. It is for the signals
/// that a failing write raises besides returning an error, and that end the process by default: SIGXFSZ past
/// RLIMIT_FSIZE, and SIGPIPE on a closed connection.
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
