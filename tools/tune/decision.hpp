#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tools/measure/statistics.hpp"
#include "tools/tune/trials/trial.hpp"

namespace kerncast::tools {

/// The conditions under which another choice replaces the op's own.
struct DecisionPolicy {
  /// The part of the default's time that a candidate must save. Less is not worth another kernel, and is
  /// within what times of one kernel differ from day to day.
  double least_gain = 0.03;
  /// Two candidates tie if their gains differ by less and their intervals overlap. Then the lowest identifier
  /// wins, so that ranks with different noise agree.
  double tie = 0.01;
  /// Rounds that a gain must come from. Fewer give no interval. An evaluator without noise needs one.
  std::uint32_t least_pairs = least_samples_for_interval;
  /// The part of the default's time that a choice may lose at another row count of the bucket.
  double most_loss = 0.03;
};

/// A candidate that was tried beside the default.
struct TriedCandidate {
  std::uint32_t id = 0;
  const Trial* trial = nullptr;
};

/// The difference of `trial` from the default in the same rounds: a gain of 0.05 means that it takes 5 % less
/// time. The trial must be timed and have samples of the default.
[[nodiscard]] PairedDifference gain_of(const Trial& trial);

/// True if the interval of the gain excludes zero, it comes from enough rounds, and the gain is at least what
/// `policy` demands.
[[nodiscard]] bool is_worth_it(const PairedDifference& gain, const DecisionPolicy& policy);

/// Index in `contenders` of the one that replaces the default; their number if none does. Trials that were
/// not timed never do. The result does not depend on the order of the contenders.
[[nodiscard]] std::size_t decide(std::span<const TriedCandidate> contenders, const DecisionPolicy& policy);

/// Indices of at most `most` contenders that may win if they are measured again, the quickest first.
[[nodiscard]] std::vector<std::size_t> finalists(std::span<const TriedCandidate> contenders, std::size_t most,
                                                 const DecisionPolicy& policy);

}  // namespace kerncast::tools
