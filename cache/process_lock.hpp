#pragma once

#include <sys/types.h>

#include <string>

#include "cache/key.hpp"
#include "cache/posix/descriptor.hpp"
#include "cache/posix/folder.hpp"

namespace kerncast::cache {

/// A lock per key across processes, held for the life of the object. It saves redundant compiles and nothing
/// depends on it: where it cannot be had (no locks on this file system, read-only directory, time-out) the
/// holder proceeds without. A crashed holder's lock is released by the kernel at once. A forked child's copy
/// of a held lock holds and releases nothing.
class ProcessLock {
 public:
  /// Waits at most `timeout_ms` for the lock of `key` below the cache directory `root` (empty: no lock).
  ProcessLock(const std::string& root, const Key& key, int timeout_ms);
  ~ProcessLock();
  ProcessLock(const ProcessLock&) = delete;
  ProcessLock& operator=(const ProcessLock&) = delete;

  [[nodiscard]] bool held() const { return file_.valid(); }
  /// True when another process held the lock first.
  [[nodiscard]] bool waited() const { return waited_; }

 private:
  Folder folder_;
  std::string name_;
  Descriptor file_;
  pid_t holder_ = 0;
  bool waited_ = false;
};

}  // namespace kerncast::cache
