#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kerncast::cache {

/// The next step of a machine that misses a kernel.
enum class LeaseStep : std::uint8_t {
  claim,       ///< create the lease of the key, unless there is one
  take_over,   ///< write the lease of the key over one that stands for too long
  read_entry,  ///< ask the server for the kernel
  read_lease,  ///< ask the server who holds the lease
  wait,        ///< let pause() pass
  use,         ///< use the kernel that read_entry has found
  compile,     ///< compile the kernel; under the lease if holds()
};

/// The outcome of a step.
enum class LeaseAnswer : std::uint8_t {
  done,    ///< it was done: claimed, written, found, waited
  absent,  ///< the server has no such thing
  taken,   ///< there is a lease already
  failed,  ///< the server did not answer, or does not know leases
};

/// Times of a policy. All are spans on the machine's own monotonic clock.
struct LeaseTimes {
  std::chrono::milliseconds shortest_pause{100};
  std::chrono::milliseconds longest_pause{2000};
  std::chrono::milliseconds duration{15'000};  ///< of the leases that this machine takes
};

/// Decides for one missing kernel whether this machine compiles it or waits for another one that does. It
/// knows neither sockets nor clocks: the caller does each step() and reports how it ended and at which time.
/// So the simulator of a fleet runs what machines run.
///
/// Whoever holds the lease of a key compiles its kernel, uploads it and releases the lease. The others ask
/// for the kernel again and again, in growing pauses of random length. A lease that has vanished without a
/// kernel can be claimed again. One that has stood unchanged for its duration belongs to a machine that is
/// gone, and is taken over; no date of a server is believed. After the time that this machine may wait it
/// compiles; that is at most the time of two of its own leases, however many holders come and go: one of them
/// may be gone. Since equal keys have equal kernels, two holders at once only waste work. Not thread-safe.
class LeasePolicy {
 public:
  /// A time on the machine's monotonic clock.
  using Time = std::chrono::milliseconds;

  /// `nonce` is different for every policy of the fleet. Waits end at `end`.
  LeasePolicy(const LeaseTimes& times, std::uint64_t nonce, std::uint64_t machine, Time end);

  /// The step to do now; at first it is claim.
  [[nodiscard]] LeaseStep step() const { return step_; }
  /// Reports at `now` that step() has ended by `answer`. `lease` is the text that read_lease has found.
  void ended(LeaseAnswer answer, Time now, std::string_view lease = {});

  /// The text of this machine's lease.
  [[nodiscard]] const std::string& token() const { return token_; }
  /// The length of the step wait.
  [[nodiscard]] Time pause() const { return pause_; }
  /// True if the lease belongs to this machine.
  [[nodiscard]] bool holds() const { return holds_; }
  /// True if another machine has held the lease.
  [[nodiscard]] bool waited() const { return waited_; }

 private:
  void claim_ended(LeaseAnswer answer, Time now);
  void take_over_ended(LeaseAnswer answer, Time now);
  void read_entry_ended(LeaseAnswer answer, Time now);
  void read_lease_ended(LeaseAnswer answer, Time now, std::string_view lease);
  void rest(Time now, Time length);
  [[nodiscard]] Time next_pause();
  /// The time that this machine waits for others.
  [[nodiscard]] Time patience();
  [[nodiscard]] bool stands_too_long(std::string_view lease, Time now);

  LeaseTimes times_;
  std::string token_;
  Time end_;
  std::uint64_t random_;
  LeaseStep step_ = LeaseStep::claim;
  Time pause_{0};
  Time interval_;
  Time lease_read_{0};                ///< when something was heard of the lease last
  Time lease_seen_{0};                ///< when the lease was seen first as it is
  std::optional<std::string> lease_;  ///< the lease as it was seen last
  int contradictions_ = 0;            ///< how often in a row a lease was said to be taken and was not there
  bool holds_ = false;
  bool waited_ = false;
  bool overwrote_ = false;  ///< the lease was taken over, and others may have done the same
};

/// The time that a miss may wait for other machines if `left` is left of its budget and a request takes at
/// most `request`. The rest is for the upload, and for the processes of this machine, which wait for the lock
/// that this one holds meanwhile.
[[nodiscard]] LeasePolicy::Time time_to_wait(LeasePolicy::Time left, LeasePolicy::Time request);

}  // namespace kerncast::cache
