#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "cache/key.hpp"
#include "cache/posix/folder.hpp"

namespace kerncast::cache {

/// The size that a cache directory may have. 0 means no limit.
struct Budget {
  std::uint64_t bytes = std::uint64_t{2} << 30;
  std::uint64_t entries = 100'000;
};

/// The number of keys that a trim names of those that it evicts: as many as a line of the log holds.
constexpr std::size_t most_evicted_keys = 100;

/// Result of a trim.
struct TrimResult {
  bool ran = false;           ///< false if another process is trimming
  std::uint64_t entries = 0;  ///< number of entries that are left
  std::uint64_t bytes = 0;    ///< size of the entries that are left
  std::uint64_t evicted = 0;
  std::uint64_t evicted_bytes = 0;
  std::vector<Key> evicted_keys;  ///< the first of them, at most most_evicted_keys
  /// Removed temporaries of dead writers, files of other versions, and surplus files of quarantine and of
  /// failed compiles.
  std::uint64_t collected = 0;
  bool cut_short = false;  ///< there was more to do than TrimWork permits
};

/// Most work that one trim does: about half a second. What is left is done by the next one.
struct TrimWork {
  std::size_t listed = std::size_t{1} << 17;  ///< entries, to within those of one folder
  std::size_t evicted = std::size_t{1} << 14;
};

/// Brings the directory within `budget`: removes the least recently used entries until seven eighths of the
/// budget are in use. An entry that another running process uses is never removed; `own` is the name of this
/// process's usage file. An entry whose time of use cannot be right goes first. Also removes the temporary
/// files of dead writers, the usage files of ended processes, and entries of other format versions that were
/// not used for a week. Of the quarantined files and of the sources of failed compiles it keeps some; see
/// reap_surplus().
///
/// Only one process trims at a time, but a process that is stopped while it does stops nobody else for more
/// than a minute. If the listing is cut short, the folders that were listed stand for all: keys are hashes.
///
///     ROOT/locks/trim        locked by the process that trims, which touches it as it goes
///     ROOT/locks/trim-due    exists from the begin of a trim until one ends with the directory in its budget
[[nodiscard]] TrimResult trim(const Folder& root, const Budget& budget, const std::string& own,
                              const TrimWork& most = {});

/// True if the last trim was killed or cut short, or if what other processes used kept it from its aim. It
/// costs one system call.
[[nodiscard]] bool trim_is_due(const Folder& root);

/// Space that a writer needs for several entries at once, and the entries that must stay meanwhile.
struct Room {
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
  std::unordered_set<Key, KeyHash> staying;
};

/// The part of a directory that no trim removes at present: what stays for a Room and what other processes
/// use.
struct Held {
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
};

/// Result of make_room().
struct RoomResult {
  bool fits = false;
  Held held;
  TrimResult trimmed;
};

enum class RoomUse : std::uint8_t { make, only_ask };

/// Evicts entries as trim() does until there is room for `room` within `budget`. Evicts nothing if that
/// cannot be achieved, or if it is only asked.
[[nodiscard]] RoomResult make_room(const Folder& root, const Budget& budget, const std::string& own,
                                   const Room& room, RoomUse use);

/// Decides when a process that publishes should trim: at its first publish, and then each time it has added a
/// sixteenth of the remaining space, or a thirty-second of the budget if that is more. So a directory is
/// listed about sixty times while it fills up, and exceeds its budget by at most a thirty-second for each
/// process. After a trim that was cut short the next publish goes on.
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
