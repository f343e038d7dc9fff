#include "cache/directory/reaper.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <tuple>
#include <vector>

#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/posix/file_time.hpp"
#include "runtime/util/capped_sum.hpp"

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

std::uint64_t reap_surplus(const Folder& folder, std::string_view suffix, std::string_view spared) {
  struct Kept {
    std::string name;
    std::uint64_t bytes = 0;
    std::int64_t modified_ns = 0;
    bool doubtful = false;
  };
  std::vector<Kept> files;
  std::uint64_t bytes = 0;
  const std::int64_t now = now_ns_of_files();
  folder.for_each(no_limit, [&](const std::string& name) {
    struct stat info{};
    if (name.ends_with(suffix) && !name.starts_with(temporary_prefix) &&
        ::fstatat(folder.fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
      const std::uint64_t size = S_ISREG(info.st_mode) ? static_cast<std::uint64_t>(info.st_size) : 0;
      const std::int64_t modified = nanoseconds_of(info.st_mtim);
      files.push_back({name, size, modified, size > max_entry_bytes || is_ahead(modified, now)});
      bytes = capped_sum(bytes, size);
    }
  });
  if (files.size() <= most_kept_files && bytes <= most_kept_bytes) {
    return 0;
  }
  std::sort(files.begin(), files.end(), [](const Kept& a, const Kept& b) {
    return std::tuple(!a.doubtful, a.modified_ns) < std::tuple(!b.doubtful, b.modified_ns);
  });
  std::uint64_t removed = 0;
  std::size_t left = files.size();
  for (auto file = files.begin(); file != files.end() && (left > most_kept_files || bytes > most_kept_bytes);
       ++file) {
    if (file->name != spared && folder.remove(file->name)) {
      ++removed;
      --left;
      bytes -= std::min(bytes, file->bytes);
    }
  }
  return removed;
}

}  // namespace kerncast::cache
