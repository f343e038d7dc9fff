#pragma once

#include <chrono>
#include <cstdint>

namespace kerncast::bench {

/// A fleet of machines that warm the same kernels through one server, all at once and with empty caches.
struct Fleet {
  using Time = std::chrono::microseconds;

  int hosts = 10'000;
  int keys = 200;
  int threads = 4;  ///< of each host, which misses that many kernels at once
  std::uint64_t seed = 1;
  bool leases = true;
  bool shuffled = false;  ///< each host wants the kernels in an order of its own
  /// The server removes leases after their duration, as Redis does and HTTP does not.
  bool expiring = true;
  double killed = 0;  ///< share of the compiles under a lease in which the host dies
  Time shortest_compile = std::chrono::milliseconds(150);
  Time longest_compile = std::chrono::milliseconds(1500);
  Time round_trip = std::chrono::milliseconds(1);
  double capacity = 100'000;  ///< requests that the server answers in a second
  Time request_time = std::chrono::seconds(3);
  Time wait = std::chrono::seconds(30);
  Time lease = std::chrono::milliseconds(7500);
};

/// The outcome for a fleet.
struct FleetResult {
  std::uint64_t compiles = 0;
  std::uint64_t most_compiles = 0;  ///< of one key
  std::uint64_t free_compiles = 0;  ///< compiles without a lease
  std::uint64_t requests = 0;
  std::uint64_t peak_requests = 0;  ///< in one second
  std::uint64_t failures = 0;       ///< requests that were not answered in time
  int dead = 0;                     ///< hosts that were killed
  double longest_wait = 0;          ///< of a miss for the server and other machines in s
  double seconds = 0;               ///< until every living host has every kernel
};

/// Runs `fleet` on a virtual clock, with the lease policy and the circuit breaker that machines have. The
/// result depends on nothing but `fleet`.
[[nodiscard]] FleetResult simulate(const Fleet& fleet);

}  // namespace kerncast::bench
