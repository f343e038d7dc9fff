#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cache/directory/store.hpp"

namespace kerncast::cache {

/// A problem of the cache directory, and what to do about it.
struct HealthProblem {
  std::string problem;
  std::string remedy;
  bool unusable = false;  ///< nothing can be kept in the directory
  bool distrust = false;  ///< and only because others could write there
};

struct Health {
  std::string directory;
  bool exists = false;
  bool writable = false;
  std::uint64_t free_bytes = 0;
  StoreStatistics statistics;
  std::vector<HealthProblem> problems;
};

/// Examines the store's directory. Writes one probe file and removes it, unless the store does not trust the
/// directory.
[[nodiscard]] Health check_health(const Store& store);

}  // namespace kerncast::cache
