#pragma once

#include <algorithm>
#include <chrono>

namespace kerncast::cache {

/// The end of a wait.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;
  using Milliseconds = std::chrono::milliseconds;

  [[nodiscard]] static Deadline after(Milliseconds time) { return Deadline(Clock::now() + time); }
  /// The time left, at least 0.
  [[nodiscard]] Milliseconds left() const {
    return std::max(Milliseconds(0), std::chrono::duration_cast<Milliseconds>(end_ - Clock::now()));
  }
  [[nodiscard]] bool expired() const { return Clock::now() >= end_; }

 private:
  explicit Deadline(Clock::time_point end) : end_(end) {}
  Clock::time_point end_;
};

/// The time that one miss may wait for servers and other processes, all of them together. It does not run
/// while nothing is waited for, as during a compile. Not thread-safe: each miss has its own.
class WaitBudget {
 public:
  using Milliseconds = std::chrono::milliseconds;

  explicit WaitBudget(Milliseconds total) : left_(total) {}

  /// A wait for one of them: as long as the object lives, its time is taken from the budget.
  class Wait {
   public:
    explicit Wait(WaitBudget& budget) : budget_(budget), deadline_(Deadline::after(budget.left_)) {}
    ~Wait() { budget_.left_ = deadline_.left(); }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    [[nodiscard]] const Deadline& deadline() const { return deadline_; }

   private:
    WaitBudget& budget_;
    Deadline deadline_;
  };

 private:
  Milliseconds left_;
};

}  // namespace kerncast::cache
