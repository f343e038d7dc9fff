#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace kerncast::cache {

/// Blocks requests to a server after a failure: for a minute at first, and twice as long after each further
/// failure, up to an hour. After a pause, one request tests whether the server works again. Thread-safe.
class CircuitBreaker {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds first_pause{60};
  static constexpr std::chrono::seconds longest_pause{3600};

  /// True if a request may be sent at `now`. The sender must report its outcome by failed() or succeeded().
  [[nodiscard]] bool allows(Clock::time_point now) noexcept {
    std::int64_t until = closed_until_.load(std::memory_order_acquire);
    if (until == 0) {
      return true;
    }
    // Only the thread that moves the end of the pause sends the test request.
    return now.time_since_epoch().count() >= until &&
           closed_until_.compare_exchange_strong(until, (now + pause()).time_since_epoch().count());
  }
  /// True between a failure and the next success.
  [[nodiscard]] bool pauses() const noexcept { return closed_until_.load(std::memory_order_acquire) != 0; }
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
  std::atomic<std::int64_t> closed_until_{0};  ///< end of the pause; 0 if there is none
  std::atomic<int> failures_{0};
};

}  // namespace kerncast::cache
