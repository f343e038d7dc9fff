#include "cache/posix/write_all.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>

#include "cache/posix/signal_guard.hpp"

namespace kerncast::cache {

bool write_all(int fd, std::string_view bytes) {
  const SignalGuard guard(SIGXFSZ);
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      errno = written == 0 ? EIO : errno;
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace kerncast::cache
