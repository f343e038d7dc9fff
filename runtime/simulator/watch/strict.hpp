#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "runtime/simulator/machine/state.hpp"
#include "runtime/simulator/machine/watch.hpp"

/// The checks beyond bounds and alignment: reads of memory that nobody wrote, and races on shared memory.
namespace kerncast::simulator {

/// The state of a block's shared memory, byte by byte, and of which warps' accesses are ordered before
/// which.
///
/// Order is kept in stamps. `now_` counts the moments at which warps met; an access is remembered with the
/// stamp it happened at. synced[w][v] says up to which stamp warp v's accesses happened before whatever warp
/// w does next. Lanes of one warp are ordered by __syncwarp, which counts in `lane_sync`. Where a set of
/// readers cannot be told exactly the older ones are forgotten: a race may go unseen, none is made up.
class StrictBlock {
 public:
  /// Stamps by warp.
  using Clock = std::array<std::uint32_t, lane_count>;

  explicit StrictBlock(std::uint64_t shared_bytes);

  /// Forgets the block before.
  void start();
  /// False after raising a fault.
  bool access(Warp& warp, const Op* op, const WarpAccess& touch);
  /// `warp` arrives at barrier `id`: its accesses so far come before those of the warps that wait there.
  void arrive(std::uint32_t warp, std::uint32_t id);
  /// The warps in `waiting`, a bit each, leave barrier `id`.
  void leave(std::uint32_t waiting, std::uint32_t id);
  /// Lanes of `warp` met in a bar.warp.sync.
  void lanes_met(std::uint32_t warp) { ++lane_sync_[warp]; }

 private:
  struct Cell {
    std::uint32_t write_stamp = 0;
    std::uint32_t read_stamp = 0;
    std::uint32_t write_serial = 0;  ///< tells lanes of one instruction from two instructions
    std::uint32_t write_op = 0;
    std::uint32_t read_op = 0;
    std::uint32_t read_warps = 0;  ///< warps that read at read_stamp
    std::uint32_t read_lanes = 0;  ///< lanes of read_warp that read since its lanes last met
    std::uint16_t writer = 0;      ///< thread of the block
    std::uint16_t write_sync = 0;
    std::uint16_t read_sync = 0;
    std::uint8_t read_warp = 0;
    bool strong = false;  ///< the write was atomic, volatile or of a memory order
  };
  enum class Hazard : std::uint8_t { none, unwritten, write, read };

  bool shared_access(Warp& warp, const Op* op, const WarpAccess& touch, std::uint32_t lane, bool strong);
  [[nodiscard]] bool ordered_after_write(const Cell& cell, std::uint32_t warp, std::uint32_t thread) const;
  [[nodiscard]] bool ordered_after_reads(const Cell& cell, std::uint32_t warp, std::uint32_t thread) const;
  void note_read(Cell& cell, std::uint32_t warp, std::uint32_t lane, std::uint32_t op) const;
  void meet(std::uint64_t offset, std::uint32_t warp);
  const Op* raise_hazard(Warp& warp, const Op* op, const WarpAccess& touch, std::uint32_t lane,
                         std::uint64_t offset, Hazard hazard) const;

  std::vector<Cell> cells_;
  std::array<Clock, lane_count> synced_{};
  std::array<std::uint16_t, lane_count> lane_sync_{};
  std::array<Clock, 16> barriers_{};
  std::unordered_map<std::uint64_t, Clock> meetings_;  ///< meetings at atomics and flags, by shared offset
  std::uint32_t now_ = 1;
  std::uint32_t started_ = 1;  ///< stamps below belong to earlier blocks
  std::uint32_t serial_ = 0;
};

/// Checks `touch` of global memory against what was written, and notes what it writes. False after raising a
/// fault.
bool strict_global_access(Warp& warp, const Op* op, const WarpAccess& touch);

}  // namespace kerncast::simulator
