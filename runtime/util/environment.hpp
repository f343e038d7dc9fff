#pragma once

#include <cstdlib>
#include <string>

namespace kerncast {

/// Value of the environment variable `name`; empty if it is not set.
[[nodiscard]] inline std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace kerncast
