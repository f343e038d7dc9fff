#pragma once

#include <cstdint>

namespace kerncast {

/// What a cache did: counts, bytes, and microseconds added up.
struct CacheCounters {
  std::uint64_t memory_hits = 0;
  std::uint64_t directory_hits = 0;
  std::uint64_t read_only_hits = 0;
  std::uint64_t remote_hits = 0;
  std::uint64_t misses = 0;    ///< no layer had it
  std::uint64_t compiles = 0;  ///< less than misses where compiling was forbidden or another process did it
  std::uint64_t waits = 0;     ///< for another process that was compiling the same kernel
  std::uint64_t promoted = 0;  ///< hits of a lower layer written to the directory
  std::uint64_t published = 0;
  std::uint64_t failed_publishes = 0;
  std::uint64_t quarantined = 0;      ///< unusable files found in the directory
  std::uint64_t refused = 0;          ///< unusable entries in read-only layers and from the remote tier
  std::uint64_t remote_puts = 0;      ///< entries uploaded
  std::uint64_t remote_failures = 0;  ///< requests that failed; after one none is sent for a while
  std::uint64_t evicted = 0;
  std::uint64_t evicted_bytes = 0;
  std::uint64_t bytes_read = 0;     ///< cubin and PTX of hits below memory
  std::uint64_t bytes_written = 0;  ///< entries published
  std::uint64_t load_us = 0;        ///< in hits below memory
  std::uint64_t compile_us = 0;
  std::uint64_t wait_us = 0;
};

}  // namespace kerncast
