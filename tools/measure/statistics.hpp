#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

/// Statistics of timed samples. Every function is pure, so all of them are thread-safe.
///
/// The median and its interval are used and not the mean, since the times of a kernel have a long tail: an
/// interrupt or a change of the clock moves a mean by more than two variants differ.
namespace kerncast::tools {

/// A closed interval.
struct Interval {
  double low = 0;
  double high = 0;
};

/// Samples of one quantity, in microseconds.
struct Summary {
  std::uint32_t samples = 0;
  std::uint32_t outliers = 0;  ///< counted by count_outliers(); they stay among the samples
  double median_us = 0;
  Interval interval_us;  ///< of the median, with median_confidence
};

/// The two samples of a sorted set that bound its median, by place from 0.
struct MedianRanks {
  std::size_t low = 0;
  std::size_t high = 0;
};

/// The least probability with which an interval holds the median.
constexpr double median_confidence = 0.95;
/// The fewest samples for which an interval has that confidence.
constexpr std::size_t least_samples_for_interval = 6;
/// A sample is an outlier if it lies further from the median than this many robust standard deviations.
constexpr double outlier_deviations = 5;

/// The innermost pair of order statistics that holds the median of the population with at least
/// median_confidence, for independent samples of any continuous distribution. With X(1) <= ... <= X(n), the
/// interval from X(k) to X(n + 1 - k) fails with probability 2 P(B < k), where B is binomial of n trials with
/// probability 1/2; k is the largest rank that keeps this at 0.05 or below. The formula is in H. A. David and
/// H. N. Nagaraja, "Order Statistics", 3rd edition (2003), section 7.1. Below least_samples_for_interval no
/// rank does, and the pair is the least and the greatest sample. `samples` must not be 0.
[[nodiscard]] MedianRanks median_ranks(std::size_t samples);

/// The probability with which the interval between those ranks holds the median.
[[nodiscard]] double interval_confidence(std::size_t samples, MedianRanks ranks);

/// The median; of an even number of values, the mean of the two in the middle. NaN if there are none.
[[nodiscard]] double median(std::span<const double> values);

/// The interval of the median by median_ranks(). Both ends are NaN if there are no values.
[[nodiscard]] Interval median_interval(std::span<const double> values);

/// The number of values that lie further from the median than outlier_deviations times 1.4826 MAD, and by
/// more than 0.1 % of the median. MAD is the median of the distances from the median; times 1.4826 it is the
/// standard deviation of normal values. The second condition keeps the rounding of a timer from counting
/// where most values are equal.
[[nodiscard]] std::uint32_t count_outliers(std::span<const double> values);

/// Summarises samples in microseconds. No sample is left out: outliers hardly move a median, and they are
/// counted.
[[nodiscard]] Summary summarise(std::span<const double> samples_us);

/// Width of the interval as a part of the median; infinite if there are too few samples for an interval.
[[nodiscard]] double relative_width(const Summary& summary);

/// The difference of two subjects over the same rounds.
struct PairedDifference {
  double gain = 0;  ///< 1 - b/a: 0.05 means that b takes 5 % less time than a
  Interval interval;
  std::uint32_t pairs = 0;
};

/// Compares samples of two subjects; the same index is the same round. The gain is 1 minus the median of the
/// ratios of the rounds, and its interval is that of this median. So a drift that hits both of a round
/// cancels, and an outlier of one is one ratio among many. Rounds that one of them lacks at the end are left
/// out. NaN if there is no pair.
[[nodiscard]] PairedDifference compare(std::span<const double> a_us, std::span<const double> b_us);

}  // namespace kerncast::tools
