#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kerncast {

/// A kernel that a launch asked for: one line of a file that KERNCAST_RECORD names.
struct KernelRequest {
  std::string op;
  std::vector<std::pair<std::string, std::string>> settings;  ///< name and value
  std::string arch;
  int sm_count = 0;
  std::int64_t rows = 1;  ///< a row count of the row bucket
};

/// The text of such a file, read.
struct RequestRecord {
  std::vector<KernelRequest> kernels;  ///< in order
  std::size_t lines = 0;               ///< that are not empty
  /// Lines that are no requests, which a full disk can leave, and the number of the first of them.
  std::size_t bad_lines = 0;
  std::size_t first_bad_line = 0;
};

/// One line without its end:
///
///     {"op": "norm.rms_norm", "set": "x_dtype=bf16 hidden=7168", "arch": "sm_90a", "sms": 132, "rows": 17}
[[nodiscard]] std::string request_line(std::string_view op, std::string_view settings, std::string_view arch,
                                       int sm_count, std::int64_t rows);

/// Throws Error(io_error) that names `path`, the place of `text`, if it has lines and none is a request.
[[nodiscard]] RequestRecord parse_request_record(std::string_view text, const std::string& path);

/// Reads the file `path` of at most 256 MiB. Throws Error(io_error) as parse_request_record does, and if the
/// file cannot be read.
[[nodiscard]] RequestRecord read_request_record(const std::string& path);

}  // namespace kerncast
