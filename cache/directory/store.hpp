#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cache/directory/entry_tree.hpp"
#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/posix/folder.hpp"
#include "cache/posix/trust.hpp"
#include "cache/posix/warn_once.hpp"

namespace kerncast::cache {

/// Counts since the store was opened.
struct StoreCounters {
  std::atomic<std::uint64_t> hits{0};
  std::atomic<std::uint64_t> misses{0};
  std::atomic<std::uint64_t> published{0};
  std::atomic<std::uint64_t> failed_publishes{0};
  std::atomic<std::uint64_t> quarantined{0};
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
///     ROOT/v1/ab/.tmp-...                 entries being written
///     ROOT/quarantine/HEX.kce             what failed its check
///     ROOT/locks/HEX                      locks while somebody compiles
///     ROOT/sessions/NAME.kcs              what living processes use and have counted; see session.hpp
///     ROOT/counters                       what all others have counted
///     ROOT/compilers/VERSION              whose entries there may be; see compiler_marks.hpp
///     ROOT/index.sqlite                   what `kerncast cache ls` shows; rebuildable
///     ROOT/tuning.sqlite                  tuned records, and their last good copy; see tuning_store.hpp
///     ROOT/tuning.good.sqlite
///
/// ROOT may be a symbolic link or lie behind one; below it none is followed, in reading, writing or clearing.
/// Loading opens one file and verifies it; nothing else is consulted. No operation throws on the state of the
/// disk: a directory that cannot be used costs one warning and the store then misses. What killed processes
/// leave (temporaries, locks) is cleared up by later publishes, a little at a time. Thread-safe, and safe
/// among processes.
class Store {
 public:
  /// `root` empty: no directory, every load misses. A relative one is resolved now. `warn` receives each
  /// distinct warning once. A directory that `trust` refuses is neither read nor written.
  Store(std::string root, WarningSink warn, Trust trust = Trust::mine);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// The verified entry. Whatever else has its name (a file that is corrupt, truncated, too large or of
  /// another key, writable by others, a folder, a pipe, a symbolic link) is moved to quarantine, counted and
  /// warned of once, and is a miss. An undamaged file of another version is a miss and left alone; so is one
  /// that cannot be read. A hit stamps the file as used, unless it was within use_stamp_seconds.
  [[nodiscard]] std::optional<Entry> load(const Key& key);

  /// True where the directory is there or can be made, and is trusted.
  [[nodiscard]] bool usable();

  /// False when the directory cannot be written: warned of once.
  bool publish(const Key& key, const Entry& entry);

  /// As publish, for an entry that another layer keeps: failing costs nothing and is not told of.
  bool promote(const Key& key, const Entry& entry);

  /// Every entry file, in order of key. Foreign files are passed over.
  [[nodiscard]] std::vector<StoredFile> list() const;
  [[nodiscard]] StoreStatistics statistics() const;

  /// Removes entries, quarantined files, unused locks, the temporaries of dead writers and the index: only
  /// what the store made and can be made again, never through a symbolic link. Folders stay, so that no
  /// publish elsewhere finds its own gone. Returns what was removed.
  StoreStatistics clear();

  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] std::string path_of(const Key& key) const;
  [[nodiscard]] const StoreCounters& counters() const { return counters_; }

 private:
  /// The folder of `key`'s entry; invalid where it is not there or not trusted.
  [[nodiscard]] Folder shard_of(const Key& key);
  /// Invalid where it is not there or not trusted.
  [[nodiscard]] Folder trusted(Folder folder);
  void quarantine(const Key& key, const Folder& shard, const FileContent& content, const std::string& defect);
  [[nodiscard]] IoFailure write(const Key& key, const std::string& bytes);
  [[nodiscard]] IoFailure try_write(const Key& key, const std::string& bytes);
  void reap(const Folder& root, const Folder& shard);
  /// Marks the compiler of `entry`, once.
  void mark(const Entry& entry);

  std::string root_;
  Trust trust_;
  WarnOnce warnings_;
  StoreCounters counters_;
  /// Folders of entries that were looked at once; the root is looked at each time.
  std::array<std::atomic<bool>, 256> trusted_shards_{};
  std::atomic<bool> reaped_{false};
  std::mutex marked_mutex_;
  std::set<std::string> marked_;
};

/// KERNCAST_CACHE_DIR, else $XDG_CACHE_HOME/kerncast, else $HOME/.cache/kerncast, else empty. A relative
/// KERNCAST_CACHE_DIR is taken from where the store is opened; of the other two a relative one is passed
/// over.
[[nodiscard]] std::string default_directory();

}  // namespace kerncast::cache
