#pragma once

#include <cstdint>
#include <span>

#include "kerncast/op_definition.hpp"

/// The cost model by which ops choose their own tunables: a view of the full model of
/// runtime/devices/cost_model.hpp, in the few terms that distinguish one division of a launch into blocks and
/// threads from another. Constants and formulas are shared, in runtime/devices/warp_cost.hpp.
namespace kerncast::host {

/// The work of a launch, which does not depend on how it is divided. Instructions are counted per warp, for
/// the architecture of the device.
struct LaunchWork {
  std::int64_t vectors = 0;  ///< vectors of all rows; a thread processes one at a time
  std::int64_t bytes = 0;    ///< bytes read from and written to memory
  std::int32_t once = 0;     ///< instructions of a warp apart from those for its vectors
  std::int32_t each = 0;     ///< instructions of a warp for one vector per lane
  std::int32_t loads = 1;    ///< loads of a warp for one vector per lane
  std::int32_t barriers = 0;
  std::int32_t doubles = 0;  ///< of `once`, the instructions in f64
};

/// Estimated clocks of a launch, launch overhead included, if no thread processes more than `turns` vectors
/// of `work`. Good for comparison only.
[[nodiscard]] double launch_clocks(const LaunchGeometry& geometry, std::int64_t turns, const LaunchWork& work,
                                   const DeviceTraits& device);

/// Returns the first of `choices` unless the best of the others takes less than `worth` of its time. The
/// first choice is the one that measurements support, and every further choice is one more kernel to compile.
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

/// Chooses between two ways for threads to take consecutive vectors, given as tunables (threads, vectors):
/// the first unless the other is quicker. `geometry` is the op's geometry at the largest row count of the
/// bucket.
template <class Geometry>
[[nodiscard]] Tunables quicker_tiles(const Tunables& first, const Tunables& other, const Geometry& geometry,
                                     const LaunchWork& work, const DeviceTraits& device) {
  const Tunables choices[] = {first, other};
  return quickest<Tunables>(choices, [&](const Tunables& tunables) {
    return launch_clocks(geometry(tunables), tunables[1], work, device);
  });
}

}  // namespace kerncast::host
