#include "runtime/util/pid_pattern.hpp"

#include <cstddef>

namespace kerncast {

PatternPath expand_pid(const std::string& pattern, pid_t process) {
  PatternPath out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char next = pattern[i] == '%' && i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (next == 'p') {
      out.path += std::to_string(process);
      out.has_pid = true;
    } else {
      out.path += pattern[i];
    }
    i += next == 'p' || next == '%' ? 1 : 0;
  }
  return out;
}

}  // namespace kerncast
