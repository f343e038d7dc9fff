#pragma once

#include <cstdint>
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
  /// Shows other processes that the holder is at work.
  void touch() const;
  /// True if the holder has not touched the lock for `seconds`, or if the clock was changed meanwhile.
  [[nodiscard]] bool untouched_for(std::int64_t seconds) const;

 private:
  Descriptor file_;
  bool held_ = false;
  bool busy_ = false;
};

}  // namespace kerncast::cache
