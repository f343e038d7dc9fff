#include "cache/process_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "cache/layout.hpp"

namespace kerncast::cache {
namespace {

bool is_regular(int fd) {
  struct stat info{};
  return ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

Folder locks_folder(const std::string& root, const Trust& trust) {
  if (root.empty()) {
    return {};
  }
  return trusted(trusted(Folder::make(root), trust).make_child(layout::locks), trust);
}

}  // namespace

ProcessLock::ProcessLock(const std::string& root, const Key& key, int timeout_ms, const Trust& trust)
    : folder_(locks_folder(root, trust)), name_(key.hex()), holder_(::getpid()) {
  if (!folder_.valid()) {
    return;
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  auto pause = std::chrono::milliseconds(1);
  while (true) {
    Descriptor file(::openat(folder_.fd(), name_.c_str(),
                             O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600));
    const bool interrupted = !file.valid() && errno == EINTR;
    if (!interrupted && (!file.valid() || !is_regular(file.get()))) {
      return;
    }
    if (!interrupted && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      // The previous holder may have removed the file, and a lock on a removed file excludes nobody.
      if (folder_.names(name_, file.get())) {
        file_ = std::move(file);
        return;
      }
      waited_ = true;
    } else if (!interrupted) {
      if (errno != EWOULDBLOCK && errno != EINTR) {
        return;
      }
      waited_ = true;
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, std::chrono::milliseconds(20));
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return;
    }
  }
}

ProcessLock::~ProcessLock() {
  if (held() && holder_ == ::getpid()) {
    if (folder_.names(name_, file_.get())) {
      folder_.remove(name_);
    }
    // A child that was forked meanwhile shares the lock and may outlive this process.
    ::flock(file_.get(), LOCK_UN);
  }
}

}  // namespace kerncast::cache
