#pragma once

#include <cstdint>
#include <span>

#include "kerncast/op.hpp"

/// What the ops choose their own tunables by: the cost model of tools/profile/cost_model.hpp in the few terms
/// that tell one division of a launch into blocks and threads from another.
namespace kerncast::host {

/// The work of a launch, however it is divided. Instructions are those of a warp, on the architecture at
/// hand.
struct LaunchWork {
  std::int64_t vectors = 0;  ///< of all rows, each for one thread
  std::int64_t bytes = 0;    ///< to and from memory
  std::int32_t once = 0;     ///< instructions of a warp beside those of its vectors
  std::int32_t each = 0;     ///< instructions of a warp for a vector of each lane
  std::int32_t loads = 1;    ///< for a vector of each lane
  std::int32_t barriers = 0;
};

/// Clocks of the launch and of what it takes to launch it, where a thread has `turns` vectors of `work` at
/// most. An estimate, good for comparison.
[[nodiscard]] double launch_clocks(const LaunchGeometry& geometry, std::int64_t turns, const LaunchWork& work,
                                   const DeviceTraits& device);

/// Warps that a multiprocessor holds at most.
[[nodiscard]] std::int32_t warps_held(const DeviceTraits& device);

/// The first of `choices` unless the best of the others takes less than `worth` of its time: what was
/// measured good stays, and every further choice is one more kernel to compile.
template <class Choice, class Clocks>
[[nodiscard]] Choice quickest(std::span<const Choice> choices, const Clocks& clocks) {
  constexpr double worth = 0.94;
  Choice best = choices.front();
  const double first = clocks(best);
  double least = first;
  for (const Choice& other : choices.subspan(1)) {
    if (const double time = clocks(other); time < least && time < worth * first) {
      best = other;
      least = time;
    }
  }
  return best;
}

/// Of two ways for threads to take consecutive vectors, tunables (threads, vectors): the first unless the
/// other is quicker. `geometry` is the op's at the largest row count of the bucket.
template <class Geometry>
[[nodiscard]] Tunables quicker_tiles(const Tunables& first, const Tunables& other, const Geometry& geometry,
                                     const LaunchWork& work, const DeviceTraits& device) {
  const Tunables choices[] = {first, other};
  return quickest<Tunables>(choices, [&](const Tunables& tunables) {
    return launch_clocks(geometry(tunables), tunables[1], work, device);
  });
}

}  // namespace kerncast::host
