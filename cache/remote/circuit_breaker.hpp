#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace kerncast::cache {

/// Keeps requests from a server that has just failed: for a minute at first, twice as long after each further
/// failure, an hour at most. After a pause one request tries whether it is back. Thread-safe.
class CircuitBreaker {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds first_pause{60};
  static constexpr std::chrono::seconds longest_pause{3600};

  /// True when a request may be sent at `now`; its sender reports what came of it.
  [[nodiscard]] bool allows(Clock::time_point now) noexcept {
    std::int64_t until = closed_until_.load(std::memory_order_acquire);
    if (until == 0) {
      return true;
    }
    // Whoever moves the end of the pause is the one who tries.
    return now.time_since_epoch().count() >= until &&
           closed_until_.compare_exchange_strong(until, (now + pause()).time_since_epoch().count());
  }
  void failed(Clock::time_point now) noexcept {
    closed_until_.store((now + pause()).time_since_epoch().count(), std::memory_order_release);
    if (pause() < longest_pause) {
      failures_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  void succeeded() noexcept {
    failures_.store(0, std::memory_order_relaxed);
    closed_until_.store(0, std::memory_order_release);
  }

 private:
  [[nodiscard]] std::chrono::seconds pause() const noexcept {
    const auto longer = first_pause * (std::int64_t{1} << failures_.load(std::memory_order_relaxed));
    return longer < longest_pause ? longer : longest_pause;
  }
  std::atomic<std::int64_t> closed_until_{0};  ///< 0 while all is well
  std::atomic<int> failures_{0};
};

}  // namespace kerncast::cache
