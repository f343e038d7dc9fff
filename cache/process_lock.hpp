#pragma once

#include <sys/types.h>

#include <string>

#include "cache/key.hpp"
#include "cache/posix/descriptor.hpp"
#include "cache/posix/folder.hpp"
#include "cache/posix/trust.hpp"

namespace kerncast::cache {

/// A lock of one key across processes, held as long as the object lives. It only saves redundant compiles: if
/// it cannot be taken (a file system without locks, a read-only directory, a time-out), the caller proceeds
/// without it. The operating system releases the lock of a process that crashes. In a forked child, the copy
/// of a held lock holds and releases nothing.
class ProcessLock {
 public:
  /// Waits at most `timeout_ms` for the lock of `key` below the cache directory `root` (empty: no lock).
  /// In a directory that `trust` refuses there is no lock.
  ProcessLock(const std::string& root, const Key& key, int timeout_ms, const Trust& trust = Trust::mine);
  ~ProcessLock();
  ProcessLock(ProcessLock&&) = default;
  ProcessLock& operator=(ProcessLock&&) = delete;

  [[nodiscard]] bool held() const { return file_.valid(); }
  /// True if another process held the lock when this one asked for it.
  [[nodiscard]] bool waited() const { return waited_; }

 private:
  Folder folder_;
  std::string name_;
  Descriptor file_;
  pid_t holder_ = 0;
  bool waited_ = false;
};

}  // namespace kerncast::cache
