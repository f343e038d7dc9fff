#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/io/console.hpp"

namespace kerncast::tools {

/// One line of a file of KERNCAST_RECORD: a kernel that a launch asked for.
struct RequestRecord {
  std::string op;
  std::vector<std::string> settings;  ///< NAME=VALUE
  std::string arch;
  int sm_count = 0;
  std::int64_t rows = 1;  ///< any of its bucket
};

/// The records of `path` in their order. A line that is none, as a full disk leaves it, is told on `console`
/// and left out. Throws Error(io_error) where the file cannot be read.
[[nodiscard]] std::vector<RequestRecord> read_records(const std::string& path, Console& console);

/// Those of all `paths`, each kernel once, in the form they are recorded in and sorted: same records, same
/// text.
[[nodiscard]] std::string merge_records(const std::vector<std::string>& paths, Console& console);

}  // namespace kerncast::tools
