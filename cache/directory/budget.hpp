#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "cache/posix/folder.hpp"

namespace kerncast::cache {

/// The size that a cache directory may have. 0 means no limit.
struct Budget {
  std::uint64_t bytes = std::uint64_t{2} << 30;
  std::uint64_t entries = 100'000;
};

/// Result of a trim.
struct TrimResult {
  bool ran = false;           ///< false if another process is trimming
  std::uint64_t entries = 0;  ///< number of entries that are left
  std::uint64_t bytes = 0;    ///< size of the entries that are left
  std::uint64_t evicted = 0;
  std::uint64_t evicted_bytes = 0;
  std::uint64_t collected = 0;  ///< removed temporaries of dead writers and files of other versions
};

/// Brings the directory within `budget`: removes the least recently used entries until seven eighths of the
/// budget are in use. An entry that another running process uses is never removed; `own` is the name of this
/// process's usage file. Also removes the temporary files of dead writers, the usage files of ended
/// processes, and entries of other format versions that were not used for a week. Only one process trims at a
/// time.
[[nodiscard]] TrimResult trim(const Folder& root, const Budget& budget, const std::string& own);

/// Decides when a process that publishes should trim: at its first publish, and then each time it has added a
/// sixteenth of the remaining space, or a thirty-second of the budget if that is more. So a directory is
/// listed about sixty times while it fills up, and exceeds its budget by at most a thirty-second for each
/// process.
class TrimSchedule {
 public:
  explicit TrimSchedule(Budget budget) : budget_(budget) {}
  /// Notes a publish of `bytes`. True if a trim is due.
  [[nodiscard]] bool published(std::uint64_t bytes);
  void trimmed(const TrimResult& result);

 private:
  Budget budget_;
  std::mutex mutex_;
  std::uint64_t bytes_left_ = 0;  ///< bytes that may be published before the next trim
  std::uint64_t entries_left_ = 0;
};

/// Parses a number of bytes or another count, such as "2G", "512M" or "1000000". False if `text` is neither.
[[nodiscard]] bool parse_amount(const std::string& text, std::uint64_t& amount);

}  // namespace kerncast::cache
