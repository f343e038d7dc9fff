#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/io/console.hpp"

namespace kerncast::tools {

/// One line of a file that KERNCAST_RECORD names: a kernel that a launch asked for.
struct RequestRecord {
  std::string op;
  std::vector<std::string> settings;  ///< NAME=VALUE
  std::string arch;
  int sm_count = 0;
  std::int64_t rows = 1;  ///< a row count of the row bucket
};

/// The records in the file `path`, in order. Lines that are no records (a full disk can leave one) are left
/// out, with one warning on `console` that counts them. Throws Error(io_error) if the file cannot be read, or
/// has lines and none of them is a record.
[[nodiscard]] std::vector<RequestRecord> read_records(const std::string& path, Console& console);

/// The text of a file with the records of all `paths`, sorted, each kernel once. Equal records give equal
/// text.
[[nodiscard]] std::string merge_records(const std::vector<std::string>& paths, Console& console);

}  // namespace kerncast::tools
