#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tools/measure/statistics.hpp"

namespace kerncast::tools {

/// Something that can be timed again and again.
struct Subject {
  std::string name;
  /// Takes one sample, in microseconds. It may throw; the subject is dropped then, with the text of the
  /// exception.
  std::function<double()> sample_us;
};

/// The conditions that end the rounds.
struct RoundPolicy {
  /// No interval ends the rounds before this many, since the first samples can agree by chance.
  int least_rounds = 10;
  int most_rounds = 200;
  double width = 0.02;  ///< the rounds end when every interval is narrower than this part of its median
  /// No round is begun after this time. The first one always is.
  std::chrono::milliseconds most_time{5000};
  std::uint64_t seed = 0;  ///< chooses the subject that the first round begins with
  /// Asked before every sample, if it is set; true ends the rounds, and the unfinished one does not count.
  std::function<bool()> interrupted;
  /// The clock of most_time; empty: the steady clock. Tests set it.
  std::function<std::chrono::steady_clock::time_point()> now;
};

/// The reason for which the rounds ended.
enum class RoundsEnd : std::uint8_t { narrow, rounds, time, interrupted, no_subject };

/// The samples of one subject, in the order of the rounds. Subjects that were not dropped have as many.
struct Measured {
  std::vector<double> samples_us;
  Summary summary;
  std::string defect;  ///< why the subject was dropped; empty if it was not

  [[nodiscard]] bool ok() const { return defect.empty(); }
};

/// Samples all subjects in turn, once in each round. The subject that a round begins with moves on by one, so
/// a drift of the clock, a step of throttling and the heat of a slow neighbour hit all alike. A subject that
/// throws or whose sample is not a positive number is dropped, and the others go on. The result has one
/// element for each subject, in their order; its samples come from whole rounds. If `end` is not null it
/// receives the reason why the rounds ended.
[[nodiscard]] std::vector<Measured> measure_rounds(std::span<const Subject> subjects,
                                                   const RoundPolicy& policy, RoundsEnd* end = nullptr);

}  // namespace kerncast::tools
