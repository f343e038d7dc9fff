#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cache/entry.hpp"
#include "cache/key.hpp"

namespace kerncast::cache {

using WarningSink = std::function<void(std::string_view)>;

/// Counts since the store was opened.
struct StoreCounters {
  std::atomic<std::uint64_t> hits{0};
  std::atomic<std::uint64_t> misses{0};
  std::atomic<std::uint64_t> published{0};
  std::atomic<std::uint64_t> failed_publishes{0};
  std::atomic<std::uint64_t> quarantined{0};
};

/// One file of the store.
struct StoredFile {
  Key key;
  std::string path;
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;
};

struct StoreStatistics {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t quarantined = 0;
  std::uint64_t temporaries = 0;
};

/// Entries as files below one directory:
///
///     ROOT/v1/ab/cdef...(30 digits).kce   entries, by key
///     ROOT/quarantine/HEX.kce             files that failed their check
///     ROOT/locks/HEX                      locks while somebody compiles
///     ROOT/index.sqlite                   what `kerncast cache ls` shows; rebuildable
///
/// Loading opens one file and verifies it; nothing else is consulted. No operation throws on the state of the
/// disk: a directory that cannot be used costs one warning and the store then misses. Thread-safe, and safe
/// among processes.
class Store {
 public:
  /// `root` empty: no directory, every load misses. `warn` receives each distinct warning once.
  Store(std::string root, WarningSink warn);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// The verified entry. A file that is corrupt, truncated, of another version or of another key is moved to
  /// quarantine, counted and warned of once, and is a miss.
  [[nodiscard]] std::optional<Entry> load(const Key& key);

  /// False when the directory cannot be written: warned of once.
  bool publish(const Key& key, const Entry& entry);

  /// Every entry file, in order of key. Foreign files are passed over.
  [[nodiscard]] std::vector<StoredFile> list() const;
  [[nodiscard]] StoreStatistics statistics() const;

  /// Removes entries, quarantined files, temporaries and the index: only what the store made, never through a
  /// symbolic link. Returns what was removed.
  StoreStatistics clear();

  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] std::string path_of(const Key& key) const;
  [[nodiscard]] const StoreCounters& counters() const { return counters_; }

 private:
  void warn_once(const std::string& kind, const std::string& message);
  void quarantine(const Key& key, const std::string& path, const std::string& defect);

  std::string root_;
  WarningSink warn_;
  StoreCounters counters_;
  std::mutex warned_mutex_;
  std::set<std::string> warned_;
};

/// KERNCAST_CACHE_DIR, else $XDG_CACHE_HOME/kerncast, else $HOME/.cache/kerncast, else empty.
[[nodiscard]] std::string default_directory();

}  // namespace kerncast::cache
