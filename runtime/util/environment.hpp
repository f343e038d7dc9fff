#pragma once

#include <sys/auxv.h>

#include <cstdlib>
#include <string>

namespace kerncast {

/// True if this process has privileges that the user who started it lacks: its program is set-user-id,
/// set-group-id or has file capabilities.
[[nodiscard]] inline bool has_raised_privileges() {
  return ::getauxval(AT_SECURE) != 0;
}

/// Value of the environment variable `name`; empty if it is not set. In a process with raised privileges no
/// variable is set: its environment belongs to the user who started it, and a variable may name code to load
/// or a file to write.
[[nodiscard]] inline std::string environment(const char* name) {
  const char* value = ::secure_getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace kerncast
