#pragma once

#include <string_view>

#include "cache/posix/descriptor.hpp"
#include "cache/posix/folder.hpp"

namespace kerncast::cache {

/// A lock for work that one process at a time should do. It is taken at once or not at all; its file stays.
/// On a file system without locks, busy() is always false.
class FileLock {
 public:
  FileLock(const Folder& locks, std::string_view name);
  [[nodiscard]] bool held() const { return held_; }
  /// True if another process holds the lock.
  [[nodiscard]] bool busy() const { return busy_; }

 private:
  Descriptor file_;
  bool held_ = false;
  bool busy_ = false;
};

}  // namespace kerncast::cache
