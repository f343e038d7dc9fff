#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kerncast/cache_counters.hpp"

namespace kerncast::cache {

struct CounterField {
  std::string_view name;
  std::uint64_t CacheCounters::* value;
};

/// All counters, in the order in which files store them. New ones must be added at the end.
constexpr std::array<CounterField, 24> counter_fields{{
    {"memory_hits", &CacheCounters::memory_hits},
    {"directory_hits", &CacheCounters::directory_hits},
    {"read_only_hits", &CacheCounters::read_only_hits},
    {"remote_hits", &CacheCounters::remote_hits},
    {"misses", &CacheCounters::misses},
    {"compiles", &CacheCounters::compiles},
    {"waits", &CacheCounters::waits},
    {"promoted", &CacheCounters::promoted},
    {"published", &CacheCounters::published},
    {"failed_publishes", &CacheCounters::failed_publishes},
    {"quarantined", &CacheCounters::quarantined},
    {"refused", &CacheCounters::refused},
    {"remote_puts", &CacheCounters::remote_puts},
    {"remote_failures", &CacheCounters::remote_failures},
    {"evicted", &CacheCounters::evicted},
    {"evicted_bytes", &CacheCounters::evicted_bytes},
    {"bytes_read", &CacheCounters::bytes_read},
    {"bytes_written", &CacheCounters::bytes_written},
    {"load_us", &CacheCounters::load_us},
    {"compile_us", &CacheCounters::compile_us},
    {"wait_us", &CacheCounters::wait_us},
    {"leases", &CacheCounters::leases},
    {"lease_hits", &CacheCounters::lease_hits},
    {"lease_wait_us", &CacheCounters::lease_wait_us},
}};

/// Sum and difference, field by field. A sum that is too large is the largest number, and a difference below
/// 0 is 0, since counters that were read from files may be anything.
CacheCounters& operator+=(CacheCounters& sum, const CacheCounters& other);
[[nodiscard]] CacheCounters operator-(CacheCounters from, const CacheCounters& other);

/// Counters that many threads increment at once. Each thread adds to one of several copies, so that threads
/// do not compete for a cache line.
class Counters {
 public:
  void add(std::uint64_t CacheCounters::* field, std::uint64_t amount = 1) noexcept;
  [[nodiscard]] CacheCounters sum() const;

 private:
  static constexpr std::size_t stripes = 32;
  struct alignas(64) Stripe {
    std::array<std::atomic<std::uint64_t>, counter_fields.size()> values{};
  };
  std::array<Stripe, stripes> stripes_;
};

/// Serialises counters for a file:
///
///     counters = magic u32 count, u64[count], u64 XXH3-64 of every byte before it
///     magic    = "KCCOUNT1"
///
/// The values have the order of counter_fields. A reader ignores values after the last one it knows.
[[nodiscard]] std::string serialise_counters(const CacheCounters& counters);
/// The counters that `bytes` begin with. Empty if there are none or their checksum is wrong. `size` receives
/// the number of bytes that they occupy; it stays unchanged if `bytes` are shorter than that.
[[nodiscard]] std::optional<CacheCounters> parse_counters(std::string_view bytes,
                                                          std::size_t* size = nullptr);

}  // namespace kerncast::cache
