#pragma once

#include <sys/types.h>

#include <string>

namespace kerncast {

/// A path that a pattern names.
struct PatternPath {
  std::string path;
  bool has_pid = false;  ///< the pattern has `%p`
};

/// `pattern` with the number of `process` in the place of `%p`, and `%` in the place of `%%`.
[[nodiscard]] PatternPath expand_pid(const std::string& pattern, pid_t process);

}  // namespace kerncast
