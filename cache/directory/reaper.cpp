#include "cache/directory/reaper.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "cache/key.hpp"
#include "cache/posix/file_time.hpp"

namespace kerncast::cache {
namespace {

enum class NoLocks : std::uint8_t { keep, remove };

/// Removes `name` if it is a regular file, is old enough, and its lock can be taken. `without` decides if the
/// file system has no locks.
bool reap(const Folder& folder, const std::string& name, std::chrono::seconds age, NoLocks without) {
  const Descriptor file(
      ::openat(folder.fd(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat info{};
  if (!file.valid() || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return false;
  }
  if (!is_older(nanoseconds_of(info.st_mtim), age.count(), now_ns_of_files())) {
    return false;
  }
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 &&
      (errno == EWOULDBLOCK || errno == EINTR || without == NoLocks::keep)) {
    return false;
  }
  // The lock is on the file, and the name may belong to another file by now.
  return folder.names(name, file.get()) && folder.remove(name);
}

}  // namespace

std::uint64_t reap_temporaries(const Folder& folder, std::chrono::seconds age, std::size_t limit) {
  std::uint64_t removed = 0;
  folder.for_each(limit, [&](const std::string& name) {
    if (name.starts_with(temporary_prefix) && reap(folder, name, age, NoLocks::remove)) {
      ++removed;
    }
  });
  return removed;
}

std::uint64_t reap_locks(const Folder& locks, std::chrono::seconds age, std::size_t limit) {
  std::uint64_t removed = 0;
  locks.for_each(limit, [&](const std::string& name) {
    if (Key::from_hex(name) && reap(locks, name, age, NoLocks::keep)) {
      ++removed;
    }
  });
  return removed;
}

}  // namespace kerncast::cache
