#pragma once

#include <cstddef>

/// Counts what a hot path must not do. Linking hot_path_counters.cpp replaces the process's operator new and
/// puts itself before the C library's locks, so what the standard library and others call is counted too.
struct HotPathCounters {
  std::size_t allocations = 0;  ///< by operator new
  std::size_t locks = 0;        ///< of mutexes, read-write locks and spin locks, tried ones included

  /// The counts so far of all threads of this process.
  [[nodiscard]] static HotPathCounters now() noexcept;

  friend HotPathCounters operator-(HotPathCounters a, HotPathCounters b) noexcept {
    return {a.allocations - b.allocations, a.locks - b.locks};
  }
};
