#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "runtime/simulator/watch/footprint.hpp"

namespace kerncast::simulator {

/// The memory that lies in a device's L2 cache between launches. A launch, copy or fill leaves all that it
/// touched there; what was touched longest ago goes first, as all of the launch that touched it last. A
/// launch that touches more than the cache holds leaves nothing. So hits do not depend on the order of
/// addresses or of blocks. Not thread-safe.
class L2Cache {
 public:
  explicit L2Cache(std::uint64_t bytes) : capacity_(bytes) {}

  /// Lets a launch pass, and returns the bytes that it moved from and to memory: those of the sectors it
  /// read, and again of those it wrote, that were not in the cache before.
  std::uint64_t pass(const Footprint& launch);
  /// Lets a copy or fill of `bytes` at `address` pass.
  void pass(std::uint64_t address, std::uint64_t bytes);

 private:
  struct Line {
    std::uint64_t sectors = 0;  ///< of a page of Footprint, a bit each
    std::uint64_t stamp = 0;    ///< of the launch that touched it last
  };
  struct Launch {
    std::uint64_t bytes = 0;
    std::vector<std::uint64_t> pages;  ///< also those that a later launch has touched since
  };

  void touch(std::uint64_t page, std::uint64_t sectors);
  void evict();

  std::uint64_t capacity_;
  std::uint64_t bytes_ = 0;
  std::uint64_t now_ = 0;
  std::unordered_map<std::uint64_t, Line> lines_;  ///< by page
  std::map<std::uint64_t, Launch> launches_;       ///< by stamp
};

}  // namespace kerncast::simulator
