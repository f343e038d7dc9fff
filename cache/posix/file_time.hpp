#pragma once

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <limits>

namespace kerncast::cache {

/// A time that lies further ahead of the clock than this was written by another clock, or the clock was set
/// back since. Machines that share a file system differ by less.
constexpr std::int64_t clock_slack_ns = std::int64_t{3600} * 1'000'000'000;

/// Nanoseconds since the Unix epoch. A time that they cannot express becomes the nearest that they can: file
/// systems keep any year.
[[nodiscard]] inline std::int64_t nanoseconds_of(const timespec& time) {
  constexpr std::int64_t second = 1'000'000'000;
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const std::int64_t seconds = time.tv_sec;
  if (seconds >= most / second) {
    return most;
  }
  return seconds <= -most / second ? -most : seconds * second + time.tv_nsec;
}

[[nodiscard]] inline std::int64_t now_ns_of_files() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds_of(now);
}

/// True if `time_ns` cannot be right, so that it says nothing about an age.
[[nodiscard]] inline bool is_ahead(std::int64_t time_ns, std::int64_t now_ns) {
  return time_ns > now_ns && time_ns - clock_slack_ns > now_ns;
}

/// True if `time_ns` is at least `seconds` ago. A time that cannot be right counts as long ago, since it
/// would never become old otherwise.
[[nodiscard]] inline bool is_older(std::int64_t time_ns, std::int64_t seconds, std::int64_t now_ns) {
  // Nanoseconds express 292 years; an age above half of that is as long ago as any.
  constexpr std::int64_t second = 1'000'000'000;
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / second / 2;
  return is_ahead(time_ns, now_ns) || time_ns <= now_ns - std::min(seconds, most) * second;
}

}  // namespace kerncast::cache
