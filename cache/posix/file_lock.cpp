#include "cache/posix/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
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

}  // namespace kerncast::cache
