#pragma once

#include <sys/types.h>

#include <functional>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "cache/counters.hpp"
#include "cache/key.hpp"
#include "cache/posix/descriptor.hpp"
#include "cache/posix/folder.hpp"

namespace kerncast::cache {

/// What this process uses of a cache directory and has counted, in a file that it keeps locked while it
/// lives:
///
///     ROOT/sessions/NAME.kcs = counters { u64 high, u64 low }     keys used since it began
///
/// so that whoever evicts spares what living processes use, and counts outlive a process that is killed. The
/// file comes with the first key; where it cannot be made nothing is written. A forked child begins its own.
/// Thread-safe.
class ProcessUsage {
 public:
  explicit ProcessUsage(std::string root) : root_(std::move(root)) {}
  /// Adds the counters to those of the directory and removes the file.
  ~ProcessUsage();
  ProcessUsage(const ProcessUsage&) = delete;
  ProcessUsage& operator=(const ProcessUsage&) = delete;

  /// Notes that `key` is in use, and what has been counted until now.
  void used(const Key& key, const std::function<CacheCounters()>& counters);
  /// Notes what has been counted, where there is a file.
  void count(const CacheCounters& counters);
  /// The file's name; empty where there is none.
  [[nodiscard]] std::string name();

 private:
  void begin(const CacheCounters& counters);
  void write_counters(const CacheCounters& counters) const;

  std::string root_;
  std::mutex mutex_;
  std::unordered_set<Key, KeyHash> keys_;
  std::string name_;
  Descriptor file_;
  /// What a forked child had counted when it began, which its parent writes down.
  CacheCounters inherited_;
  off_t end_ = 0;
  pid_t process_ = 0;
};

/// What the processes of a cache directory have counted: those that have ended and those that live.
[[nodiscard]] CacheCounters counters_of(const Folder& root);

/// Adds the counters of ended processes to ROOT/counters and removes their files. One process at a time; does
/// nothing where another is at it.
void collect_usage(const Folder& root);

/// The keys that living processes other than that of the session `own` use.
[[nodiscard]] std::unordered_set<Key, KeyHash> keys_in_use(const Folder& root, const std::string& own);

}  // namespace kerncast::cache
