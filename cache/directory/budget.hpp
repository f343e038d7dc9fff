#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "cache/posix/folder.hpp"

namespace kerncast::cache {

/// What a cache directory may grow to; 0 is no limit.
struct Budget {
  std::uint64_t bytes = std::uint64_t{2} << 30;
  std::uint64_t entries = 100'000;
};

/// What a trim found and did.
struct TrimResult {
  bool ran = false;  ///< false where another process is at it
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;  ///< of the entries that are left
  std::uint64_t evicted = 0;
  std::uint64_t evicted_bytes = 0;
  std::uint64_t collected = 0;  ///< dead temporaries, and files of other versions
};

/// Brings the directory within `budget`: entries go by the time of their last use, oldest first, until seven
/// eighths are left, but none that a process other than the one of session `own` uses. Also removes the
/// temporaries of dead writers, the sessions of ended processes, and what builds of other entry versions have
/// not used for a week. One process at a time.
[[nodiscard]] TrimResult trim(const Folder& root, const Budget& budget, const std::string& own);

/// Decides when a process that publishes should trim: at its first publish, and from then on each time it has
/// added a sixteenth of what was left, or a thirty-second of the budget where less was left. So a directory
/// is read some sixty times while it fills, and outgrows its budget by at most a thirty-second for each
/// process.
class TrimSchedule {
 public:
  explicit TrimSchedule(Budget budget) : budget_(budget) {}
  /// True when a trim is due after a publish of `bytes`.
  [[nodiscard]] bool published(std::uint64_t bytes);
  void trimmed(const TrimResult& result);

 private:
  Budget budget_;
  std::mutex mutex_;
  std::uint64_t bytes_left_ = 0;  ///< until the next trim
  std::uint64_t entries_left_ = 0;
};

/// "2G", "512M", "1000000": bytes, or any count. False where `text` is something else.
[[nodiscard]] bool parse_amount(const std::string& text, std::uint64_t& amount);

}  // namespace kerncast::cache
