#include "cache/posix/signal_guard.hpp"

#include <cerrno>
#include <ctime>

namespace kerncast::cache {
namespace {

sigset_t set_of(int signal) {
  sigset_t set{};
  sigemptyset(&set);
  sigaddset(&set, signal);
  return set;
}

}  // namespace

SignalGuard::SignalGuard(int signal) : signal_(signal) {
  sigset_t pending{};
  was_pending_ = ::sigpending(&pending) == 0 && sigismember(&pending, signal) == 1;
  const sigset_t set = set_of(signal);
  active_ = ::pthread_sigmask(SIG_BLOCK, &set, &before_) == 0;
}

SignalGuard::~SignalGuard() {
  if (!active_) {
    return;
  }
  const int saved = errno;
  // A signal that was pending before this guard belongs to the host.
  if (!was_pending_) {
    const sigset_t set = set_of(signal_);
    const timespec at_once{};
    while (::sigtimedwait(&set, nullptr, &at_once) == -1 && errno == EINTR) {
    }
  }
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  errno = saved;
}

}  // namespace kerncast::cache
