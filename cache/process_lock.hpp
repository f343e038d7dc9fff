#pragma once

#include <string>

#include "cache/key.hpp"

namespace kerncast::cache {

/// A lock per key across processes, held for the life of the object. It saves redundant compiles and nothing
/// depends on it: where it cannot be had (no locks on this file system, read-only directory, time-out) the
/// holder proceeds without. A crashed holder's lock is released by the kernel at once.
class ProcessLock {
 public:
  /// Waits at most `timeout_ms` for the lock of `key` below the cache directory `root` (empty: no lock).
  ProcessLock(const std::string& root, const Key& key, int timeout_ms);
  ~ProcessLock();
  ProcessLock(const ProcessLock&) = delete;
  ProcessLock& operator=(const ProcessLock&) = delete;

  [[nodiscard]] bool held() const { return fd_ >= 0; }
  /// True when another process held the lock first: its entry may be there now.
  [[nodiscard]] bool waited() const { return waited_; }

 private:
  std::string path_;
  int fd_ = -1;
  bool waited_ = false;
};

}  // namespace kerncast::cache
