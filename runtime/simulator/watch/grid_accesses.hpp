#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "runtime/simulator/machine/state.hpp"

namespace kerncast::simulator {

/// The global memory that a launch of a chain touched, byte by byte, and the accesses that it made before it
/// waited for the launches before it. Thread-safe.
class GridAccesses {
 public:
  /// An access before the wait, of one lane or of a whole warp.
  struct Early {
    const Op* op;
    std::uint64_t block;  ///< its number in the grid
    std::uint64_t address;
    std::uint32_t bytes;  ///< of all lanes
    std::uint32_t lane_bytes;
    std::uint32_t thread;  ///< the first, by its number in the block
    bool reads;
    bool writes;
  };

  GridAccesses();
  GridAccesses(const GridAccesses&) = delete;
  GridAccesses& operator=(const GridAccesses&) = delete;

  /// Adds `bytes` bytes of global memory at `address`, which `lanes` access.
  void add(Warp& warp, const Op* op, const WarpAccess& touch, std::uint32_t lanes, std::uint64_t address,
           std::uint64_t bytes);

  /// The accesses before the wait, at most a million. No thread may add any while they are read.
  [[nodiscard]] const std::vector<Early>& early() const { return early_; }
  /// A byte of [address, address + bytes) that the launch wrote, or read if `reads` asks for these as well; 0
  /// if there is none.
  [[nodiscard]] std::uint64_t find(std::uint64_t address, std::uint64_t bytes, bool reads) const;

 private:
  static constexpr std::uint64_t page_bytes = 4096;
  using Bits = std::array<std::atomic<std::uint64_t>, page_bytes / 64>;
  struct Page {
    Bits read{};
    Bits written{};
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages;
  };

  Page& page(std::uint64_t number);
  [[nodiscard]] const Page* known_page(std::uint64_t number) const;

  std::uint64_t serial_;  ///< differs from those of all other launches
  std::array<Shard, 16> shards_;
  std::mutex early_mutex_;
  std::atomic<bool> early_full_{false};
  std::vector<Early> early_;
};

}  // namespace kerncast::simulator
