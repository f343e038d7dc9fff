#include "cache/file_size_signal.hpp"

#include <cerrno>
#include <ctime>

namespace kerncast::cache {
namespace {

sigset_t file_size_signal() {
  sigset_t set{};
  sigemptyset(&set);
  sigaddset(&set, SIGXFSZ);
  return set;
}

}  // namespace

FileSizeSignalGuard::FileSizeSignalGuard() {
  sigset_t pending{};
  was_pending_ = ::sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 1;
  const sigset_t set = file_size_signal();
  active_ = ::pthread_sigmask(SIG_BLOCK, &set, &before_) == 0;
}

FileSizeSignalGuard::~FileSizeSignalGuard() {
  if (!active_) {
    return;
  }
  const int saved = errno;
  // One that waited before this guard is the host's.
  if (!was_pending_) {
    const sigset_t set = file_size_signal();
    const timespec at_once{};
    while (::sigtimedwait(&set, nullptr, &at_once) == -1 && errno == EINTR) {
    }
  }
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  errno = saved;
}

}  // namespace kerncast::cache
