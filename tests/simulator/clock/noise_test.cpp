#include "runtime/simulator/clock/noise.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

using namespace kerncast::simulator;

namespace {

constexpr std::uint64_t many = 20000;

struct Spread {
  double mean = 0;
  double deviation = 0;
  double least = 1e9;
  double most = 0;
};

Spread spread_of(const Noise& noise, std::uint64_t launches = many) {
  Spread spread;
  double squares = 0;
  for (std::uint64_t i = 0; i < launches; ++i) {
    const double pace = pace_of(noise, i);
    spread.mean += pace;
    squares += pace * pace;
    spread.least = std::min(spread.least, pace);
    spread.most = std::max(spread.most, pace);
  }
  const auto count = static_cast<double>(launches);
  spread.mean /= count;
  spread.deviation = std::sqrt(std::max(0.0, squares / count - spread.mean * spread.mean));
  return spread;
}

}  // namespace

TEST_CASE("what is left out of a noise is none") {
  const Noise noise = parse_noise("seed=7,jitter=0.05,drift=0.02,throttle=0.3,outliers=0.01");
  CHECK(noise.seed == 7);
  CHECK(noise.jitter == 0.05);
  CHECK(noise.drift == 0.02);
  CHECK(noise.throttle == 0.3);
  CHECK(noise.outliers == 0.01);
  const Noise seed = parse_noise("seed=18446744073709551615");
  CHECK(seed.seed == UINT64_MAX);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    CHECK(pace_of(seed, i) == 1);
  }
}

TEST_CASE("a noise of unknown words or impossible values is refused with what is possible") {
  const std::pair<const char*, const char*> bad[] = {
      {"", "NAME=VALUE"},
      {"jitter", "NAME=VALUE"},
      {"jitter=0.1,", "NAME=VALUE"},
      {"jiter=0.1", "none of seed, jitter, drift, throttle and outliers"},
      {"jitter=", "a number from 0 to 0.5"},
      {"jitter=0.6", "a number from 0 to 0.5"},
      {"jitter=-0.1", "a number from 0 to 0.5"},
      {"jitter=nan", "a number from 0 to 0.5"},
      {"jitter=0.1x", "a number from 0 to 0.5"},
      {"drift=1", "a number from 0 to 0.5"},
      {"throttle=11", "a number from 0 to 10"},
      {"outliers=1.5", "a number from 0 to 1"},
      {"seed=-1", "a whole number from 0"},
      {"seed=1.5", "a whole number from 0"},
      {"seed=18446744073709551616", "a whole number from 0"},
      {"seed=1,seed=2", "seed is given twice"},
  };
  for (const auto& [text, message] : bad) {
    INFO(text);
    CHECK_THROWS_WITH(parse_noise(text), Catch::Contains(message));
    CHECK_THROWS_AS(parse_noise(text), std::invalid_argument);
  }
}

TEST_CASE("jitter has the mean and the spread that were asked for") {
  for (const double jitter : {0.01, 0.05, 0.2}) {
    const Spread spread = spread_of({.seed = 3, .jitter = jitter});
    CHECK(spread.mean == Approx(1).margin(0.03 * jitter));
    CHECK(spread.deviation == Approx(jitter).epsilon(0.03));
    CHECK(spread.least >= 0.1);
  }
}

TEST_CASE("drift is a slow wave") {
  const Noise noise{.seed = 5, .drift = 0.02};
  const Spread spread = spread_of(noise, 4 * drift_period);
  CHECK(spread.mean == Approx(1).margin(1e-6));
  CHECK(spread.most == Approx(1.02).margin(1e-4));
  CHECK(spread.least == Approx(0.98).margin(1e-4));
  for (std::uint64_t i = 0; i < drift_period; ++i) {
    CHECK(std::abs(pace_of(noise, i + 1) - pace_of(noise, i)) < 0.001);
  }
}

TEST_CASE("a throttled device is slower for a while, one step of four") {
  const Noise noise{.seed = 11, .throttle = 0.3};
  for (std::uint64_t cycle = 0; cycle < 50; ++cycle) {
    std::uint64_t slow = 0;
    for (std::uint64_t step = 0; step < throttle_cycle; ++step) {
      const std::uint64_t first = (cycle * throttle_cycle + step) * throttle_step;
      const double pace = pace_of(noise, first);
      CHECK((pace == 1 || pace == 1.3));
      slow += pace > 1 ? 1 : 0;
      for (std::uint64_t i = first; i < first + throttle_step; ++i) {
        CHECK(pace_of(noise, i) == pace);
      }
    }
    CHECK(slow == 1);
  }
}

TEST_CASE("outliers take two to ten times as long, in the share that was asked for") {
  const Noise noise{.seed = 1, .outliers = 0.01};
  std::vector<double> outliers;
  for (std::uint64_t i = 0; i < many; ++i) {
    if (const double pace = pace_of(noise, i); pace != 1) {
      outliers.push_back(pace);
    }
  }
  CHECK(outliers.size() > many * 8 / 1000);
  CHECK(outliers.size() < many * 12 / 1000);
  for (const double pace : outliers) {
    CHECK(pace >= 2);
    CHECK(pace <= 10);
  }
}

TEST_CASE("the seed decides") {
  Noise noise{.seed = 1, .jitter = 0.05, .drift = 0.02, .throttle = 0.3, .outliers = 0.01};
  std::vector<double> first;
  for (std::uint64_t i = 0; i < 200; ++i) {
    first.push_back(pace_of(noise, i));
  }
  std::uint64_t differ = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    CHECK(pace_of(noise, i) == first[i]);
    Noise other = noise;
    other.seed = 2;
    differ += pace_of(other, i) != first[i] ? 1 : 0;
  }
  CHECK(differ == 200);
}
