#include "tools/measure/statistics.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "tools/run/split_mix.hpp"

namespace kerncast::tools {
namespace {

std::vector<double> counting(int first, int last) {
  std::vector<double> values;
  for (int i = last; i >= first; --i) {
    values.push_back(i);
  }
  return values;
}

TEST_CASE("the median of an even number of values is the mean of the two in the middle") {
  CHECK(median(std::vector<double>{3, 1, 2}) == 2);
  CHECK(median(std::vector<double>{4, 1, 3, 2}) == 2.5);
  CHECK(median(std::vector<double>{7}) == 7);
  CHECK(std::isnan(median({})));
  CHECK(std::isnan(median_interval({}).low));
}

// The expected values are sums of binomial coefficients in exact integers, divided by 2^n at the end. Ranks
// count from 1.
TEST_CASE("the ranks of the interval are the exact binomial ones") {
  struct Row {
    std::size_t samples;
    std::size_t low;
    std::size_t high;
    double confidence;
  };
  const Row rows[] = {{6, 1, 6, 0.9688},    {7, 1, 7, 0.9844},    {8, 1, 8, 0.9922},   {9, 2, 8, 0.9609},
                      {10, 2, 9, 0.9785},   {15, 4, 12, 0.9648},  {20, 6, 15, 0.9586}, {30, 10, 21, 0.9572},
                      {50, 18, 33, 0.9672}, {60, 22, 39, 0.9727}, {70, 27, 44, 0.9586}};
  for (const Row& row : rows) {
    INFO(row.samples);
    const MedianRanks ranks = median_ranks(row.samples);
    CHECK(ranks.low + 1 == row.low);
    CHECK(ranks.high + 1 == row.high);
    CHECK(interval_confidence(row.samples, ranks) == Approx(row.confidence).margin(0.00006));
  }
}

TEST_CASE("for every number of samples the interval is the narrowest that is confident enough") {
  for (std::size_t n = 1; n <= 3000; n += n < 200 ? 1 : 97) {
    INFO(n);
    const MedianRanks ranks = median_ranks(n);
    CHECK(ranks.low + ranks.high == n - 1);
    CHECK(ranks.low <= ranks.high);
    if (n < least_samples_for_interval) {
      CHECK(ranks.low == 0);
      CHECK(interval_confidence(n, ranks) < median_confidence);
      continue;
    }
    CHECK(interval_confidence(n, ranks) >= median_confidence);
    if (ranks.low + 1 < ranks.high) {
      CHECK(interval_confidence(n, {ranks.low + 1, ranks.high - 1}) < median_confidence);
    }
  }
}

TEST_CASE("the interval of a set is made of its own samples, in any order") {
  const Interval interval = median_interval(counting(1, 10));
  CHECK(interval.low == 2);
  CHECK(interval.high == 9);
  const Interval few = median_interval(std::vector<double>{5, 3, 4});
  CHECK(few.low == 3);
  CHECK(few.high == 5);
}

TEST_CASE("outliers are those beyond five robust deviations; they are counted and kept") {
  std::vector<double> samples = counting(96, 104);  // median 100, MAD 2
  const double limit = 5 * 1.4826 * 2;
  samples.push_back(100 + limit - 0.01);
  samples.push_back(100 - limit + 0.01);
  CHECK(count_outliers(samples) == 0);
  samples.push_back(1000);
  samples.push_back(0.1);
  const Summary summary = summarise(samples);
  CHECK(summary.samples == 13);
  CHECK(summary.median_us == 100);
  CHECK(summary.outliers == 2);
}

TEST_CASE("the rounding of a timer is no outlier where most samples are equal") {
  std::vector<double> samples(20, 50.0);
  samples[3] = 50.0 * (1 + 0.9e-3);
  CHECK(count_outliers(samples) == 0);
  samples[3] = 50.0 * (1 + 1.1e-3);
  CHECK(count_outliers(samples) == 1);
}

TEST_CASE("the width of an interval is a part of the median, and infinite while there is no interval") {
  CHECK(relative_width(summarise(counting(96, 104))) == Approx((103.0 - 97.0) / 100));
  CHECK(std::isinf(relative_width(summarise(std::vector<double>(5, 1.0)))));
  CHECK(relative_width(summarise(std::vector<double>(6, 1.0))) == 0);
}

TEST_CASE("a paired difference is the median of the ratios, with their interval") {
  const std::vector<double> a = {10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120};
  std::vector<double> b;
  for (std::size_t i = 0; i < a.size(); ++i) {
    b.push_back(a[i] * (0.90 + 0.01 * static_cast<double>(i)));
  }
  const PairedDifference difference = compare(a, b);
  CHECK(difference.pairs == 10);
  CHECK(difference.gain == Approx(1 - 0.945));
  CHECK(difference.interval.low == Approx(1 - 0.98));
  CHECK(difference.interval.high == Approx(1 - 0.91));
  CHECK(compare(a, std::vector<double>{5, 10}).pairs == 2);
  CHECK(compare(a, std::vector<double>{5, 10}).gain == Approx(0.5));
  CHECK(compare(a, {}).pairs == 0);
  CHECK(std::isnan(compare(a, {}).gain));
}

/// Times with a long tail, as a device's are: a floor, noise of 5 %, and one sample in twenty up to three
/// times as long.
double noisy_time(double floor, SplitMix& random) {
  const double tail = random.uniform() < 0.05 ? 2 * random.uniform() : 0;
  return floor * (1 + 0.05 * std::fabs(random.normal()) + tail);
}

// The true median is that of a great many samples. Of 2000 simulated sets, 95 % have a standard deviation of
// 0.5 %.
TEST_CASE("over many simulated sets the interval holds the true median in 95 % or a little more") {
  SplitMix random(1);
  std::vector<double> many;
  for (int i = 0; i < 400000; ++i) {
    many.push_back(noisy_time(10, random));
  }
  const double truth = median(many);
  constexpr int sets = 2000;
  for (const std::size_t samples : {6U, 10U, 25U, 60U}) {
    int held = 0;
    for (int set = 0; set < sets; ++set) {
      std::vector<double> values(samples);
      std::generate(values.begin(), values.end(), [&] { return noisy_time(10, random); });
      const Interval interval = median_interval(values);
      held += interval.low <= truth && truth <= interval.high ? 1 : 0;
    }
    const double expected = interval_confidence(samples, median_ranks(samples));
    INFO(samples << " samples: " << held << " of " << sets << ", expected " << expected);
    CHECK(std::fabs(static_cast<double>(held) / sets - expected) < 0.02);
    CHECK(held >= 0.93 * sets);
  }
}

TEST_CASE(
    "a paired difference finds 4 % under a drift of 50 % with outliers, and no difference where there is "
    "none") {
  constexpr int sets = 500;
  int right = 0;
  int false_gains = 0;
  SplitMix random(7);
  for (int set = 0; set < sets; ++set) {
    std::vector<double> a;
    std::vector<double> b;
    std::vector<double> same;
    for (int round = 0; round < 60; ++round) {
      const double drift = 10 * (1 + 0.5 * round / 60.0);
      a.push_back(noisy_time(drift, random));
      b.push_back(noisy_time(0.96 * drift, random));
      same.push_back(noisy_time(drift, random));
    }
    const PairedDifference gain = compare(a, b);
    right += gain.interval.low <= 0.04 && 0.04 <= gain.interval.high ? 1 : 0;
    const PairedDifference none = compare(a, same);
    false_gains += none.interval.low > 0 || none.interval.high < 0 ? 1 : 0;
  }
  INFO(right << " of " << sets << " right, " << false_gains << " false");
  CHECK(right >= 0.92 * sets);
  CHECK(false_gains <= 0.08 * sets);
}

}  // namespace
}  // namespace kerncast::tools
