#include "cache/posix/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <ctime>
#include <string>

namespace kerncast::cache {

FileLock::FileLock(const Folder& locks, std::string_view name)
    : file_(::openat(locks.fd(), std::string(name).c_str(),
                     O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600)) {
  if (file_.valid()) {
    held_ = ::flock(file_.get(), LOCK_EX | LOCK_NB) == 0;
    busy_ = !held_ && errno == EWOULDBLOCK;
  }
}

void FileLock::touch() const {
  if (held_) {
    ::futimens(file_.get(), nullptr);
  }
}

bool FileLock::untouched_for(std::int64_t seconds) const {
  struct stat info{};
  if (::fstat(file_.get(), &info) != 0) {
    return false;
  }
  const std::int64_t now = std::time(nullptr);
  return info.st_mtim.tv_sec > now + seconds || info.st_mtim.tv_sec < now - seconds;
}

}  // namespace kerncast::cache
