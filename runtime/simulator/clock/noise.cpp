#include "runtime/simulator/clock/noise.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <stdexcept>
#include <string>

#include "runtime/util/named_values.hpp"

namespace kerncast::simulator {
namespace {

/// Independent streams of random numbers.
enum class Draw : std::uint64_t { angle, radius, outlier, length, phase, step };

/// SplitMix64 over the seed, what is drawn and for which launch.
std::uint64_t mixed(std::uint64_t seed, Draw draw, std::uint64_t number) {
  std::uint64_t x = seed;
  for (const std::uint64_t part : {static_cast<std::uint64_t>(draw), number}) {
    x += 0x9e3779b97f4a7c15ULL * (part + 1);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    x ^= x >> 31;
  }
  return x;
}

/// In (0, 1).
double uniform(std::uint64_t seed, Draw draw, std::uint64_t number) {
  return (static_cast<double>(mixed(seed, draw, number) >> 11) + 0.5) * 0x1p-53;
}

/// From the standard normal distribution, by Box and Muller's method.
double normal(std::uint64_t seed, std::uint64_t number) {
  const double radius = std::sqrt(-2 * std::log(uniform(seed, Draw::radius, number)));
  return radius * std::cos(2 * std::numbers::pi * uniform(seed, Draw::angle, number));
}

bool throttled(std::uint64_t seed, std::uint64_t launch) {
  const std::uint64_t step = launch / throttle_step;
  return mixed(seed, Draw::step, step / throttle_cycle) % throttle_cycle == step % throttle_cycle;
}

[[noreturn]] void refuse(std::string_view name, std::string_view value, std::string_view possible) {
  throw std::invalid_argument(fmt::format("{} is '{}'; give {}", name, value, possible));
}

std::uint64_t parse_seed(std::string_view text) {
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error != std::errc{} || end != text.data() + text.size()) {
    refuse("seed", text, "a whole number from 0");
  }
  return seed;
}

double parse_share(std::string_view name, std::string_view text, double most) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (copy.empty() || end != copy.c_str() + copy.size() || !(value >= 0 && value <= most)) {
    refuse(name, text, fmt::format("a number from 0 to {}", most));
  }
  return value;
}

void set(Noise& noise, std::string_view name, std::string_view value) {
  if (name == "seed") {
    noise.seed = parse_seed(value);
  } else if (name == "jitter") {
    noise.jitter = parse_share(name, value, 0.5);
  } else if (name == "drift") {
    noise.drift = parse_share(name, value, 0.5);
  } else if (name == "throttle") {
    noise.throttle = parse_share(name, value, 10);
  } else if (name == "outliers") {
    noise.outliers = parse_share(name, value, 1);
  } else {
    throw std::invalid_argument(
        fmt::format("'{}' is none of seed, jitter, drift, throttle and outliers", name));
  }
}

}  // namespace

Noise parse_noise(std::string_view text) {
  Noise noise;
  for (const auto& [name, value] : named_values(text)) {
    set(noise, name, value);
  }
  return noise;
}

double pace_of(const Noise& noise, std::uint64_t launch) {
  double pace = 1;
  if (noise.jitter > 0) {
    // A launch never takes less than a tenth of its time, however unlikely the draw.
    pace = std::max(0.1, 1 + noise.jitter * normal(noise.seed, launch));
  }
  if (noise.drift > 0) {
    const double turns = static_cast<double>(launch) / drift_period + uniform(noise.seed, Draw::phase, 0);
    pace *= 1 + noise.drift * std::sin(2 * std::numbers::pi * turns);
  }
  if (noise.throttle > 0 && throttled(noise.seed, launch)) {
    pace *= 1 + noise.throttle;
  }
  if (noise.outliers > 0 && uniform(noise.seed, Draw::outlier, launch) < noise.outliers) {
    pace *= 2 + 8 * uniform(noise.seed, Draw::length, launch);
  }
  return pace;
}

}  // namespace kerncast::simulator
