#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "cache/counters.hpp"
#include "cache/key.hpp"
#include "cache/posix/warn_once.hpp"
#include "cache/remote/lease/lease_policy.hpp"
#include "cache/remote/server/circuit_breaker.hpp"
#include "cache/remote/server/remote_server.hpp"
#include "cache/wait_budget.hpp"

namespace kerncast::cache {

class RemoteLeases;

/// The lease of one key on the server, which the end of the object releases. It only saves compiles: a miss
/// whose lease is not held compiles as well. It ends before the leases and the budget that it came from.
class RemoteLease {
 public:
  /// No lease.
  RemoteLease() = default;
  RemoteLease(RemoteLeases& leases, std::string name, std::string token, WaitBudget& budget)
      : leases_(&leases), name_(std::move(name)), token_(std::move(token)), budget_(&budget) {}
  RemoteLease(RemoteLease&& other) noexcept
      : leases_(std::exchange(other.leases_, nullptr)),
        name_(std::move(other.name_)),
        token_(std::move(other.token_)),
        budget_(other.budget_) {}
  RemoteLease& operator=(RemoteLease&&) = delete;
  ~RemoteLease();

  [[nodiscard]] bool held() const { return leases_ != nullptr; }

 private:
  RemoteLeases* leases_ = nullptr;
  std::string name_;
  std::string token_;
  WaitBudget* budget_ = nullptr;
};

/// Takes the leases of missing kernels by LeasePolicy. A server that fails, or that has no leases, is left
/// alone for a while, with one warning; misses compile then as if there were no server. Thread-safe.
class RemoteLeases {
 public:
  /// `server` may be null; it and the other arguments outlive this object.
  RemoteLeases(RemoteServer* server, const RemoteOptions& options, WarnOnce& warnings, Counters& counters);

  /// Asks the server for the missing kernel; it is absent, done (found) or failed.
  using ReadEntry = std::function<LeaseAnswer()>;
  /// Waits until the kernel of `key` is found on the server or this machine has to compile it, which it then
  /// does under the returned lease, if that is held.
  [[nodiscard]] RemoteLease take_turn(const Key& key, WaitBudget& budget, const ReadEntry& read_entry);
  /// Says that the server has taken an upload. If it has refused a lease before, a warning says that it has
  /// none. Of a server that takes no uploads either, the warning about these is enough.
  void uploaded();
  /// Ends all waits, now and later, as if their budgets were spent.
  void stop_waiting() { stopped_ = true; }

 private:
  friend class RemoteLease;
  struct Turn;
  [[nodiscard]] LeaseAnswer take(LeaseStep step, Turn& turn, const ReadEntry& read_entry);
  [[nodiscard]] LeaseAnswer answer_of(const RemoteAnswer& answer);
  void sleep(std::chrono::milliseconds time, WaitBudget& budget) const;
  void release(const std::string& name, const std::string& token, WaitBudget& budget);
  [[nodiscard]] Deadline deadline(const WaitBudget::Wait& wait) const;

  RemoteServer* server_;
  const RemoteOptions& options_;
  WarnOnce& warnings_;
  Counters& counters_;
  CircuitBreaker breaker_;
  std::atomic<bool> stopped_{false};
  std::mutex refusal_mutex_;
  std::string refusal_;  ///< why the server has refused a lease, until that was told
};

}  // namespace kerncast::cache
