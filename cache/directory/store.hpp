#pragma once

#include <array>
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

#include "cache/directory/budget.hpp"
#include "cache/directory/entry_tree.hpp"
#include "cache/entry.hpp"
#include "cache/event_log.hpp"
#include "cache/key.hpp"
#include "cache/posix/folder.hpp"
#include "cache/posix/trust.hpp"
#include "cache/posix/warn_once.hpp"

namespace kerncast::cache {

/// Counters since the store was opened.
struct StoreCounters {
  std::atomic<std::uint64_t> hits{0};
  std::atomic<std::uint64_t> misses{0};
  std::atomic<std::uint64_t> published{0};
  std::atomic<std::uint64_t> failed_publishes{0};
  std::atomic<std::uint64_t> quarantined{0};
  std::atomic<std::uint64_t> evicted{0};
  std::atomic<std::uint64_t> evicted_bytes{0};
};

/// Number of files in a store's directory, and the size of the entries.
struct StoreStatistics {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t quarantined = 0;
  std::uint64_t temporaries = 0;
  std::uint64_t sources = 0;  ///< those at which a compile worker failed
  std::uint64_t failed = 0;   ///< of a removal: files that are still there and should not be
};

/// State of the place of an entry in a store.
enum class Holding : std::uint8_t { nothing, sound, unsound };

/// The content of the place of an entry in a store.
struct Peeked {
  bool present = false;
  ParsedEntry parsed;  ///< the entry, or why there is none
};

/// Entries as files below one directory:
///
///     ROOT/v1/ab/cdef...(30 digits).kce   entries, by key
///     ROOT/v1/ab/.tmp-...                 entries being written
///     ROOT/quarantine/HEX.kce             files from an entry's place that are no sound entries
///     ROOT/locks/HEX                      the lock of a key while a process compiles it
///     ROOT/sessions/NAME.kcs              keys and counters of a running process; see process_usage.hpp
///     ROOT/counters                       sum of the counters of ended processes
///     ROOT/log, ROOT/log.1                what happened to the directory; see event_log.hpp
///     ROOT/failed/NAME.cu                 sources at which a compile worker failed
///     ROOT/compilers/VERSION              compilers whose entries may be here; see compiler_marks.hpp
///     ROOT/nvrtc/HEX.kcn                  compilers that were loaded before; see compiler_record.hpp
///     ROOT/index.sqlite                   the listing of `kerncast cache ls`; it can be rebuilt
///     ROOT/tuning.sqlite                  tuned records, and their last good copy; see tuning_store.hpp
///     ROOT/tuning.good.sqlite
///
/// ROOT may be a symbolic link or lie behind one. Below ROOT no link is followed, neither in reading nor in
/// writing nor in clearing. A load opens one file, verifies it, and reads nothing else. No operation throws
/// because of the state of the disk: a directory that cannot be used gives one warning, and every load
/// misses. Later publishes clean up what killed processes leave (temporary files, locks), a little at a time.
/// Thread-safe; several processes may use one directory.
class Store {
 public:
  /// If `root` is empty, there is no directory and every load misses. A relative path is resolved now. `warn`
  /// receives each distinct warning once. A directory that `trust` refuses is neither read nor written.
  /// Everything that writes entries does so through a store, which keeps the directory within `budget`, if it
  /// has one; `own_usage` gives the name of this process's usage file.
  Store(std::string root, WarningSink warn, Trust trust = Trust::mine,
        std::optional<Budget> budget = std::nullopt, std::function<std::string()> own_usage = nullptr);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// The verified entry of `key`. Anything else in its place (a file that is damaged, truncated, too large,
  /// of another key or writable by others; a folder, a pipe, a symbolic link) is a miss. It is moved to
  /// quarantine and counted, with one warning. An intact file of another version is a miss and stays in
  /// place, and so does a file that cannot be read. A hit sets the file's time of use if it is older than
  /// use_stamp_seconds. `check` may give a reason why a sound entry cannot be used either.
  using EntryCheck = std::function<std::string(const Entry&)>;
  [[nodiscard]] std::optional<Entry> load(const Key& key, const EntryCheck& check = nullptr);

  /// State of the place of `key`. Nothing is changed, counted or warned of.
  [[nodiscard]] Holding holding(const Key& key) const;
  /// The content of the place of `key`, as load() would judge it. Nothing is changed, counted or warned of.
  [[nodiscard]] Peeked peek(const Key& key) const;

  /// True if the directory exists or can be created, and is trusted.
  [[nodiscard]] bool usable();

  /// Writes the entry. False, with one warning, if the directory cannot be written to.
  bool publish(const Key& key, const Entry& entry);

  /// The reason why the last publish that failed did, in words for a user; empty if none failed.
  [[nodiscard]] std::string last_failure() const;

  /// The reason why no entry can be written here (there is no directory, it is not trusted, it cannot be
  /// written to); empty if one can. Writes one probe file and removes it.
  [[nodiscard]] std::string defect();

  /// The reason why not all entries that the directory holds can be listed: it, or a folder of entries in it,
  /// cannot be read. Empty if they can, or if the directory does not exist.
  [[nodiscard]] std::string unreadable() const;

  /// Writes an entry that another layer holds. False if that fails; nothing is lost, so there is no warning.
  bool promote(const Key& key, const Entry& entry);

  /// Trims the directory if the last trim was not finished, whoever did it. Costs two system calls if it was.
  void finish_trim();

  /// Evicts entries until there is room for `room` in the budget, or only asks whether there would be.
  [[nodiscard]] RoomResult make_room(const Room& room, RoomUse use);
  [[nodiscard]] const std::optional<Budget>& budget() const { return budget_; }

  /// Every entry file, in order of key. Files that are not named like entries are skipped.
  [[nodiscard]] std::vector<StoredFile> list() const;
  [[nodiscard]] StoreStatistics statistics() const;

  /// Removes the entry files for which `unwanted` is true, and nothing else. Returns what was removed. What
  /// another process removes or publishes meanwhile is no failure.
  StoreStatistics remove(const std::function<bool(const StoredFile&)>& unwanted);

  /// Removes entries, quarantined files, sources of failed compiles, unused locks, the temporary files of
  /// dead writers and the index. All of these were made by the store and can be made again; no symbolic link
  /// is followed. Folders stay, since other processes may be publishing into them. Returns what was removed.
  StoreStatistics clear();

  /// Keeps `text` as the file `name`, which ends with ".cu", in the folder of sources at which a worker
  /// failed, and returns its path. The oldest of many go; see reap_surplus(). Empty if the directory cannot
  /// be written to.
  std::string keep_failed(const std::string& name, std::string_view text);

  /// Appends `event` to the log of the directory, if it exists and is trusted. Nothing fails because of it.
  void log(const Event& event) const;

  /// The directory itself. Invalid if it does not exist or is not trusted; there is one warning then.
  [[nodiscard]] Folder open_root() { return trusted(Folder::open(root_)); }
  [[nodiscard]] const Trust& trust() const { return trust_; }
  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] std::string path_of(const Key& key) const;
  [[nodiscard]] const StoreCounters& counters() const { return counters_; }

 private:
  /// The folder of `key`'s entry. Invalid if it does not exist or is not trusted.
  [[nodiscard]] Folder shard_of(const Key& key);
  /// Returns `folder` if it is trusted, else an invalid folder, with one warning.
  [[nodiscard]] Folder trusted(Folder folder);
  /// Gives `message` as a warning of `kind`, and keeps it for last_failure().
  void failed(const std::string& kind, std::string message);
  void quarantine(const Key& key, const Folder& shard, const FileContent& content, const std::string& defect);
  [[nodiscard]] IoFailure write(const Key& key, const std::string& bytes);
  [[nodiscard]] IoFailure try_write(const Key& key, const std::string& bytes);
  void reap(const Folder& root, const Folder& shard);
  void trim();
  void count_evicted(const TrimResult& result);
  StoreStatistics remove_entries(const std::function<bool(const StoredFile&)>& unwanted);
  /// Removes the files of the folder `name` in `root` for which `is_kept_file` is true. Adds their number to
  /// `gone`, and that of those that stay to `left`.
  void clear_kept(const Folder& root, std::string_view name, bool (*is_kept_file)(const std::string&),
                  std::uint64_t& gone, std::uint64_t& left);
  void log_clear(const StoreStatistics& removed, const char* reason) const;
  /// Marks the compiler of `entry` in the directory, once for each version.
  void mark(const Entry& entry);

  std::string root_;
  Trust trust_;
  std::optional<Budget> budget_;
  TrimSchedule schedule_;
  std::function<std::string()> own_usage_;
  WarnOnce warnings_;
  StoreCounters counters_;
  /// Shards whose folders were checked once. The root is checked at each load.
  std::array<std::atomic<bool>, 256> trusted_shards_{};
  std::atomic<bool> reaped_{false};
  mutable std::mutex failure_mutex_;
  std::string failure_;
  std::mutex marked_mutex_;
  std::set<std::string> marked_;
};

/// The cache directory that the environment names: KERNCAST_CACHE_DIR, else $XDG_CACHE_HOME/kerncast, else
/// $HOME/.cache/kerncast, else empty. A relative KERNCAST_CACHE_DIR is resolved when a store is opened; a
/// relative XDG_CACHE_HOME or HOME is ignored.
[[nodiscard]] std::string default_directory();

}  // namespace kerncast::cache
