#pragma once

#include <cstdint>
#include <string_view>

namespace kerncast::simulator {

/// Perturbations of device times, for tests of what measures them. All but the seed are shares: 0.05 is 5 %.
struct Noise {
  std::uint64_t seed = 0;
  double jitter = 0;    ///< standard deviation of each launch
  double drift = 0;     ///< most by which a slow wave makes launches longer or shorter
  double throttle = 0;  ///< more time in the steps in which the device is throttled
  double outliers = 0;  ///< launches that take 2 to 10 times as long
};

/// Launches of one wave of drift, and of one step in which the device is throttled or not.
inline constexpr std::uint64_t drift_period = 512;
inline constexpr std::uint64_t throttle_step = 64;
/// One step of so many in a row, chosen by the seed, is throttled.
inline constexpr std::uint64_t throttle_cycle = 4;

/// Reads a text such as "seed=7,jitter=0.05,drift=0.02,throttle=0.3,outliers=0.01". What is left out is 0.
/// Throws std::invalid_argument, whose text says what is wrong and what is possible.
[[nodiscard]] Noise parse_noise(std::string_view text);

/// The factor by which the launch with this number takes longer than it would without noise. It depends on
/// nothing but its arguments, so the same seed gives the same times.
[[nodiscard]] double pace_of(const Noise& noise, std::uint64_t launch);

}  // namespace kerncast::simulator
