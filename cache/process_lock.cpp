#include "cache/process_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "cache/file.hpp"

namespace kerncast::cache {
namespace {

/// True while `path` still names the file behind `fd`: the last holder removes it, and a lock on a removed
/// file excludes nobody.
bool still_named(int fd, const std::string& path) {
  struct stat held{};
  struct stat named{};
  return ::fstat(fd, &held) == 0 && ::stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
         held.st_dev == named.st_dev;
}

}  // namespace

ProcessLock::ProcessLock(const std::string& root, const Key& key, int timeout_ms) {
  if (root.empty() || !make_folders(root + "/locks").empty()) {
    return;
  }
  path_ = root + "/locks/" + key.hex();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  auto pause = std::chrono::milliseconds(1);
  while (true) {
    const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
      return;
    }
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
      if (still_named(fd, path_)) {
        fd_ = fd;
        return;
      }
      ::close(fd);
      waited_ = true;
      continue;
    }
    const bool busy = errno == EWOULDBLOCK || errno == EINTR;
    ::close(fd);
    if (!busy || std::chrono::steady_clock::now() >= deadline) {
      return;
    }
    waited_ = true;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(20));
  }
}

ProcessLock::~ProcessLock() {
  if (fd_ >= 0) {
    ::unlink(path_.c_str());
    ::close(fd_);
  }
}

}  // namespace kerncast::cache
