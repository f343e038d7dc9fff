#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace kerncast::tools {

/// The time that a command may take, as the instant at which it is spent. A copy is spent at the same
/// instant. It also holds in a process that takes the place of this one or that this one starts, since the
/// clock counts from the start of the machine.
class TimeBudget {
 public:
  using Clock = std::chrono::steady_clock;

  /// A budget without a limit.
  TimeBudget() = default;
  /// `seconds` from now; 0: no limit.
  explicit TimeBudget(double seconds);
  /// Reads what text() wrote; no limit if it is not such a text.
  [[nodiscard]] static TimeBudget parse(const std::string& text);

  [[nodiscard]] bool limited() const { return end_ != Clock::time_point::max(); }
  [[nodiscard]] bool spent() const { return limited() && Clock::now() >= end_; }
  /// Seconds that are left, at least 0; infinity without a limit.
  [[nodiscard]] double seconds_left() const;
  /// The first of `parts` equal parts of what is left. What it does not use is left to the others.
  [[nodiscard]] TimeBudget share(std::size_t parts) const;
  /// The first `part` of what is left, from 0 to 1.
  [[nodiscard]] TimeBudget portion(double part) const;
  /// The instant for another process of this machine; empty without a limit.
  [[nodiscard]] std::string text() const;

 private:
  Clock::time_point end_ = Clock::time_point::max();
};

}  // namespace kerncast::tools
