#pragma once

#include <string_view>

#include "cache/posix/descriptor.hpp"
#include "cache/posix/folder.hpp"

namespace kerncast::cache {

/// A lock on a file that stays, taken at once or not at all, for work that one process at a time should do.
/// Where there are no locks nobody is ever busy.
class FileLock {
 public:
  FileLock(const Folder& locks, std::string_view name);
  [[nodiscard]] bool held() const { return held_; }
  /// True where another process has it.
  [[nodiscard]] bool busy() const { return busy_; }

 private:
  Descriptor file_;
  bool held_ = false;
  bool busy_ = false;
};

}  // namespace kerncast::cache
