#include "tools/measure/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace kerncast::tools {
namespace {

constexpr double normal_deviation_by_mad = 1.4826;
constexpr double least_outlier_distance = 1e-3;

/// P(B < k) for each k from 0 to n / 2 + 1, where B is binomial of n trials with probability 1/2. It works
/// with logarithms, since 2^-n is no double for large n.
template <class Visit>
void visit_lower_tails(std::size_t n, Visit visit) {
  double log_probability = -static_cast<double>(n) * std::log(2.0);
  double below = 0;
  for (std::size_t k = 0; k <= n / 2 + 1; ++k) {
    visit(k, below);
    below += std::exp(log_probability);
    log_probability += std::log(static_cast<double>(n - k)) - std::log(static_cast<double>(k + 1));
  }
}

std::vector<double> sorted(std::span<const double> values) {
  std::vector<double> copy(values.begin(), values.end());
  std::sort(copy.begin(), copy.end());
  return copy;
}

double median_of_sorted(const std::vector<double>& values) {
  if (values.empty()) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

}  // namespace

MedianRanks median_ranks(std::size_t samples) {
  std::size_t rank = 1;
  visit_lower_tails(samples, [&](std::size_t k, double below) {
    if (k > rank && 2 * below <= 1 - median_confidence) {
      rank = k;
    }
  });
  return {rank - 1, samples - rank};
}

double interval_confidence(std::size_t samples, MedianRanks ranks) {
  double outside = 0;
  visit_lower_tails(samples, [&](std::size_t k, double below) {
    outside += k == ranks.low + 1 ? below : 0;
    outside += k == samples - ranks.high ? below : 0;
  });
  return 1 - outside;
}

double median(std::span<const double> values) {
  return median_of_sorted(sorted(values));
}

Interval median_interval(std::span<const double> values) {
  if (values.empty()) {
    return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  }
  const std::vector<double> ordered = sorted(values);
  const MedianRanks ranks = median_ranks(ordered.size());
  return {ordered[ranks.low], ordered[ranks.high]};
}

std::uint32_t count_outliers(std::span<const double> values) {
  const double middle = median(values);
  std::vector<double> distances;
  distances.reserve(values.size());
  for (const double value : values) {
    distances.push_back(std::fabs(value - middle));
  }
  const double limit = std::max(outlier_deviations * normal_deviation_by_mad * median(distances),
                                least_outlier_distance * std::fabs(middle));
  return static_cast<std::uint32_t>(
      std::count_if(distances.begin(), distances.end(), [&](double distance) { return distance > limit; }));
}

Summary summarise(std::span<const double> samples_us) {
  return {static_cast<std::uint32_t>(samples_us.size()), count_outliers(samples_us), median(samples_us),
          median_interval(samples_us)};
}

double relative_width(const Summary& summary) {
  if (summary.samples < least_samples_for_interval || !(summary.median_us > 0)) {
    return std::numeric_limits<double>::infinity();
  }
  return (summary.interval_us.high - summary.interval_us.low) / summary.median_us;
}

PairedDifference compare(std::span<const double> a_us, std::span<const double> b_us) {
  const std::size_t pairs = std::min(a_us.size(), b_us.size());
  std::vector<double> ratios;
  ratios.reserve(pairs);
  for (std::size_t i = 0; i < pairs; ++i) {
    ratios.push_back(b_us[i] / a_us[i]);
  }
  const Interval interval = median_interval(ratios);
  return {1 - median(ratios), {1 - interval.high, 1 - interval.low}, static_cast<std::uint32_t>(pairs)};
}

}  // namespace kerncast::tools
