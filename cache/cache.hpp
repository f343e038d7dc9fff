#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "cache/counters.hpp"
#include "cache/directory/budget.hpp"
#include "cache/directory/process_usage.hpp"
#include "cache/directory/store.hpp"
#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/memory_cache.hpp"
#include "cache/posix/warn_once.hpp"
#include "cache/read_only_layer.hpp"
#include "cache/remote/remote_store.hpp"
#include "cache/tuning/tuned_table.hpp"
#include "cache/tuning/tuning_store.hpp"

namespace kerncast::cache {

struct CacheOptions {
  std::string directory;               ///< the user's; empty: none
  std::vector<std::string> read_only;  ///< directories and packs, in order of search
  std::size_t memory_bytes = std::size_t{64} << 20;
  RemoteOptions remote;
  Budget budget;                ///< of the directory
  bool trust_everyone = false;  ///< also read what others could have written
};

/// What the environment says: KERNCAST_CACHE_DIR, KERNCAST_CACHE_READONLY (separated by colons),
/// KERNCAST_CACHE_REMOTE, KERNCAST_CACHE_REMOTE_READONLY, KERNCAST_CACHE_REMOTE_TIMEOUT_MS,
/// KERNCAST_CACHE_MAX_BYTES, KERNCAST_CACHE_MAX_ENTRIES, KERNCAST_CACHE_TRUST. `warn` is told of what cannot
/// be read.
[[nodiscard]] CacheOptions options_from_environment(const WarningSink& warn = nullptr);

enum class Layer : std::uint8_t { none, memory, directory, read_only, remote };

/// An entry and where it was; null with `none`.
struct Hit {
  std::shared_ptr<const Entry> entry;
  Layer layer = Layer::none;
  [[nodiscard]] explicit operator bool() const { return entry != nullptr; }
};

/// Whose entries the layers may hold.
struct LayerCompilers {
  Compilers directory;
  std::vector<Compilers> read_only;
  bool remote = false;  ///< there is a server, which may hold anybody's

  [[nodiscard]] bool may_hold(std::string_view version) const;
};

enum class OnMiss : std::uint8_t { count, ignore };

/// The layers in order: this process's memory, the user's directory, read-only directories and packs, a
/// remote server. A hit in a lower one is promoted: into memory, and from below the directory into the
/// directory. No layer's state is ever an error. Thread-safe, and safe among processes.
class Cache {
 public:
  /// `warn` receives each distinct warning once.
  Cache(CacheOptions options, WarningSink warn);
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  /// The verified entry of `key`. What memory holds is found without a lock. Entries are valid as long as
  /// this cache.
  [[nodiscard]] Hit load(const Key& key, OnMiss on_miss = OnMiss::count);
  /// The same of an entry that the compiler of `version` made, passing over layers that hold none of it.
  [[nodiscard]] Hit load(const Key& key, OnMiss on_miss, const LayerCompilers& layers,
                         std::string_view version);
  /// As the layers are marked now.
  [[nodiscard]] LayerCompilers compilers() const;
  /// Looks in the directory alone, for what another process may have published since a miss.
  [[nodiscard]] Hit load_published(const Key& key);

  /// Keeps `entry` in memory, in the directory and on the server. False when it could not be written to the
  /// directory: warned of once.
  bool publish(const Key& key, Entry entry);

  /// The tuned records of the directory and the read-only layers as they were when this was first asked.
  [[nodiscard]] const TunedTable& tuned();

  /// Counts a miss that loads were told to ignore.
  void count_miss();
  /// Counts a compile, and a wait for another process's.
  void count_compile(std::uint64_t microseconds);
  void count_wait(std::uint64_t microseconds);
  /// Of this object; those of all processes on the directory are counters_of().
  [[nodiscard]] CacheCounters counters() const;

  /// Below which a process lock may be taken; empty where there is no directory to trust.
  [[nodiscard]] std::string lock_root();
  [[nodiscard]] Store& store() { return store_; }
  /// Of the directory.
  [[nodiscard]] TuningStore& tuning() { return tuning_; }
  [[nodiscard]] const std::vector<std::unique_ptr<ReadOnlyLayer>>& read_only() const { return read_only_; }

 private:
  [[nodiscard]] Hit load(const Key& key, OnMiss on_miss, const LayerCompilers* layers,
                         std::string_view version);
  Hit found(const Key& key, Entry entry, Layer layer, std::uint64_t CacheCounters::* counter,
            std::int64_t started_ns);
  Hit promoted(const Key& key, Entry entry, Layer layer, std::uint64_t CacheCounters::* counter,
               std::int64_t started_ns);
  void refused(const std::string& layer, const std::string& defect);
  void note_use(const Key& key);
  void keep_budget(const Entry& entry);

  Counters counters_;
  WarnOnce warnings_;
  Store store_;
  MemoryCache memory_;
  std::vector<std::unique_ptr<ReadOnlyLayer>> read_only_;
  RemoteStore remote_;
  ProcessUsage usage_;
  Budget budget_;
  TrimSchedule schedule_;
  TuningStore tuning_;
  std::once_flag tuned_once_;
  TunedTable tuned_;
};

}  // namespace kerncast::cache
