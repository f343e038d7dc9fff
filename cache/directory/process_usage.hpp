#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "cache/counters.hpp"
#include "cache/key.hpp"
#include "cache/posix/descriptor.hpp"
#include "cache/posix/folder.hpp"
#include "cache/posix/trust.hpp"

namespace kerncast::cache {

/// The keys that this process uses in a cache directory and its counters. They are kept in a file that the
/// process holds locked while it lives:
///
///     ROOT/sessions/NAME.kcs = counters { u64 high, u64 low }     the keys used so far
///
/// A process that evicts reads these files and spares the keys, and the counts survive a process that is
/// killed. The file is created at the first key; if that fails, nothing is written. Keys for which it has no
/// room are not written: their entries are evicted like those that nobody uses. A forked child creates its
/// own file. Thread-safe.
class ProcessUsage {
 public:
  /// The bytes of the largest file that readers take for a usage file: about a million keys.
  static constexpr std::uint64_t most_bytes = std::uint64_t{16} << 20;

  /// In a directory that `trust` refuses nothing is written. The file gets at most `limit` bytes.
  explicit ProcessUsage(std::string root, Trust trust = Trust::mine, std::uint64_t limit = most_bytes)
      : root_(std::move(root)), trust_(std::move(trust)), limit_(limit) {}
  /// Adds the counters to the sum of the directory and removes the file.
  ~ProcessUsage();
  ProcessUsage(const ProcessUsage&) = delete;
  ProcessUsage& operator=(const ProcessUsage&) = delete;

  /// Notes that `key` is in use, and the counters so far. True at the first key of this process.
  bool used(const Key& key, const std::function<CacheCounters()>& counters);
  /// Notes the counters so far, if the file exists.
  void count(const CacheCounters& counters);
  /// The name of the file. Empty if there is none.
  [[nodiscard]] std::string name();

 private:
  void begin(const CacheCounters& counters);
  void write_counters(const CacheCounters& counters) const;

  [[nodiscard]] Folder open_root() const { return trusted(Folder::open(root_), trust_); }

  std::string root_;
  Trust trust_;
  std::uint64_t limit_;
  std::mutex mutex_;
  std::unordered_set<Key, KeyHash> keys_;
  std::string name_;
  Descriptor file_;
  /// The counters of a forked child when it began. Its parent reports these.
  CacheCounters inherited_;
  off_t end_ = 0;
  pid_t process_ = 0;
};

/// The sum of the counters of all processes that use or have used the cache directory. Waits a few seconds at
/// most for a process that moves counts from one file to another, so that the sum never falls.
[[nodiscard]] CacheCounters counters_of(const Folder& root);

/// Adds the counters of ended processes to ROOT/counters and removes their files, also those that are larger
/// than a usage file can be. Does nothing if another process is doing so.
void collect_usage(const Folder& root);

/// The keys that running processes use, except the process whose usage file is called `own`.
[[nodiscard]] std::unordered_set<Key, KeyHash> keys_in_use(const Folder& root, const std::string& own);

}  // namespace kerncast::cache
