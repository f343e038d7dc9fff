#pragma once

#include <cstddef>
#include <cstdint>

/// What looks on while a launch runs: the strict checks and the profile. Memory handlers of every x86-64
/// level tell it of each warp-wide access that has passed the bounds and alignment checks. Plain data only,
/// as in state.hpp.
namespace kerncast::simulator {

struct Op;
struct Warp;
class StrictBlock;
class Tally;

/// One warp-wide access: which lanes, how many bytes each, and where in host memory. Whether a lane touches
/// global, shared or local memory shows in its host address.
struct Touch {
  enum class Kind : std::uint8_t { read, write, atomic };
  Kind kind = Kind::read;
  std::uint32_t mask = 0;
  std::uint32_t bytes = 0;              ///< of each lane
  std::uint64_t first = 0;              ///< where lanes are apart by `stride`: lane 0's address
  std::uint64_t stride = 0;             ///< 0: all lanes at `first`
  const std::uint64_t* host = nullptr;  ///< one address per lane, where they follow no stride

  [[nodiscard]] std::uint64_t at(std::uint32_t lane) const {
    return host != nullptr ? host[lane] : first + stride * lane;
  }
};

/// Tells every watcher of `warp`'s launch. False after a check has raised a fault: the handler returns null
/// and must not touch memory.
bool watch_access(Warp& warp, const Op* op, const Touch& touch);

}  // namespace kerncast::simulator
