#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "cache/posix/warn_once.hpp"
#include "kerncast/cache_counters.hpp"

namespace kerncast {

/// Writes the counters of this process to a file, for the textfile collector of Prometheus' node exporter. A
/// thread writes it at most once in each interval, and only if something was noted, so that no launch waits
/// for a disk; finish() writes it a last time. A reader sees a whole file, since it is written beside its
/// place and renamed.
///
/// A `%p` in the path stands for the process id; each sample has the label `pid` then, because two files of
/// one folder must not hold the same series. `%%` stands for a percent sign. A forked child writes what it
/// counts itself, and with the same path in place of its parent. If the file cannot be written, there is one
/// warning and nothing else. Thread-safe.
class MetricsFile {
 public:
  static constexpr std::chrono::milliseconds usual_interval{10'000};

  /// An empty `path` writes nothing. `counters` is called from the thread until finish() has returned.
  MetricsFile(std::string path, std::function<CacheCounters()> counters, cache::WarningSink warn,
              std::chrono::milliseconds interval = usual_interval);
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

  /// Says that the counters may have changed. The first call starts the thread. Never throws.
  void note() noexcept;
  /// Writes the file if anything was noted, and ends the thread. Never throws.
  void finish() noexcept;

 private:
  struct Writer;
  void start() noexcept;

  const std::string path_;
  const std::function<CacheCounters()> counters_;
  cache::WarningSink warn_;
  const std::chrono::milliseconds interval_;
  mutable std::atomic<bool> noted_{false};  ///< since the file was written last
  std::atomic<pid_t> process_{0};           ///< the one that the writer belongs to
  std::mutex mutex_;                        ///< held while a writer is made or finished
  std::unique_ptr<Writer> writer_;          ///< null until something is noted
};

}  // namespace kerncast
