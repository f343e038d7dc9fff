#pragma once

#include <cstdint>

namespace kerncast {

/// Totals of what a cache has done. Times are in microseconds.
struct CacheCounters {
  std::uint64_t memory_hits = 0;
  std::uint64_t directory_hits = 0;
  std::uint64_t read_only_hits = 0;
  std::uint64_t remote_hits = 0;
  std::uint64_t misses = 0;    ///< look-ups that no layer could serve
  std::uint64_t compiles = 0;  ///< fewer than misses if compiling was forbidden or another process compiled
  std::uint64_t waits = 0;     ///< times this process waited for another one to compile the same kernel
  std::uint64_t promoted = 0;  ///< hits of a lower layer that were written to the directory
  std::uint64_t published = 0;
  std::uint64_t failed_publishes = 0;
  std::uint64_t quarantined = 0;      ///< unusable files found in the directory
  std::uint64_t refused = 0;          ///< unusable entries in read-only layers and on the remote server
  std::uint64_t remote_puts = 0;      ///< entries uploaded
  std::uint64_t remote_failures = 0;  ///< failed requests; a failure stops further requests for a while
  std::uint64_t evicted = 0;
  std::uint64_t evicted_bytes = 0;
  std::uint64_t bytes_read = 0;     ///< cubin and PTX of hits below memory
  std::uint64_t bytes_written = 0;  ///< entries published
  std::uint64_t load_us = 0;        ///< spent in hits below memory
  std::uint64_t compile_us = 0;
  std::uint64_t wait_us = 0;
  std::uint64_t leases = 0;         ///< kernels compiled under a lease of the remote server
  std::uint64_t lease_hits = 0;     ///< kernels that another machine compiled while this one waited for it
  std::uint64_t lease_wait_us = 0;  ///< spent in waiting for other machines
};

}  // namespace kerncast
