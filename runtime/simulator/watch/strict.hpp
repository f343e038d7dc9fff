#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/simulator/machine/state.hpp"
#include "runtime/simulator/machine/watch.hpp"
#include "runtime/simulator/watch/group_order.hpp"
#include "runtime/simulator/watch/shared_cells.hpp"
#include "runtime/simulator/watch/undefined.hpp"

/// The checks beyond bounds and alignment: uses of memory that nobody wrote, and races on shared memory.
namespace kerncast::simulator {

/// The state of a block's shared memory and of which warps' accesses are ordered before which.
///
/// Order is kept in stamps. `now_` counts the moments at which warps met; an access is remembered with the
/// stamp it happened at. synced[w][v] says up to which stamp warp v's accesses happened before whatever warp
/// w does next. Lanes of one warp are ordered by __syncwarp, which counts in `lane_sync`. Where a set of
/// readers cannot be told exactly the older ones are forgotten: a race may go unseen, none is made up.
class StrictBlock {
 public:
  /// Stamps by warp.
  using Clock = std::array<std::uint32_t, lane_count>;

  /// `asked` is how much of the block's shared memory the launch asked for; kernels may read beyond it as far
  /// as the memory goes.
  StrictBlock(std::uint64_t shared_bytes, std::uint64_t asked, std::uint32_t warps);

  /// Forgets the block before.
  void start();
  /// The lanes of `touch` that access shared memory.
  [[nodiscard]] static std::uint32_t shared_lanes(const Warp& warp, const WarpAccess& touch);
  /// Checks what the lanes of `touch` do to shared memory, all of them. False after raising a fault.
  bool access(Warp& warp, const Op* op, const WarpAccess& touch);
  /// `warp` arrives at barrier `id`: its accesses so far come before those of the warps that wait there.
  void arrive(std::uint32_t warp, std::uint32_t id);
  /// The warps in `waiting`, a bit each, leave barrier `id`.
  void leave(std::uint32_t waiting, std::uint32_t id);
  /// A warp arrives at the barrier of the block's cluster, the cluster meets there, and a warp goes on.
  void cluster_arrived(std::uint32_t warp);
  void cluster_met();
  void cluster_passed(std::uint32_t warp);
  /// Another block of the cluster accesses `bytes` bytes at `offset`. They count as written from then on if
  /// it writes, in order with whatever the block does: races between blocks are not looked for.
  void access_from_outside(std::uint64_t offset, std::uint32_t bytes, WarpAccess::Kind kind);
  /// Threads of `warp` execute a fence.proxy.async of shared memory.
  void proxy_fence(std::uint32_t warp);
  /// Threads of `warp` have waited for the launches before.
  void grid_waited(std::uint32_t warp);
  /// True if what `warp` does next comes after such a wait, by itself or by another warp that it has met
  /// since.
  [[nodiscard]] bool after_grid_wait(std::uint32_t warp);
  /// Lanes of `warp` met in a bar.warp.sync.
  void lanes_met(std::uint32_t warp) { ++lane_sync_[warp]; }
  /// The values that `warp` loaded and that nobody wrote.
  Undefined& undefined(const Warp& warp) { return undefined_[warp.index]; }
  /// The swizzles that tensor copies write with, by their span of chunks, and the check that a wgmma reads
  /// what they wrote with the same one. False after raising a fault.
  void note_tile(const Warp& warp, const Op* op, std::uint32_t span);
  bool check_tile(Warp& warp, const Op* op, const std::uint64_t* at, std::uint32_t mask, std::uint32_t span);
  /// The wgmma of `warp`, and of its warpgroup.
  GroupOrder& group_order(const Warp& warp) { return group_orders_[warp.index]; }
  GroupLog& group_log(const Warp& warp) { return group_logs_[warp.index / group_warps]; }

 private:
  enum class Hazard : std::uint8_t { write, read };
  /// One lane's part of an access.
  struct Touch {
    Warp& warp;
    const Op* op;
    const WarpAccess& access;
    std::uint32_t lane;
    std::uint32_t number;  ///< of the op in its program
    bool strong;
  };

  // The quick ways of whole words whose last accesses a barrier of the whole block has ordered. They do all
  // or nothing.
  bool read_row(const WarpAccess& touch, std::uint64_t offset, const Touch& common);
  bool write_row(const WarpAccess& touch, std::uint64_t offset, const Touch& common);
  bool read_one(std::uint64_t offset, std::uint32_t lanes, const Touch& common);
  bool write_one(std::uint64_t offset, const Touch& touch);

  /// Checks that a wgmma or a copy by a tensor map reads what other instructions wrote behind a
  /// fence.proxy.async, of the writer's warp or of its own.
  bool check_proxy(const Touch& touch, std::uint64_t offset);
  bool check_lane(const Touch& touch, std::uint64_t offset);
  bool check_word(const Touch& touch, std::uint64_t offset);
  bool check_byte(const Touch& touch, std::uint64_t offset);
  bool check_cell(const Touch& touch, std::uint64_t offset, std::uint32_t bytes, SharedCell& cell);
  [[nodiscard]] bool same_value(const Touch& touch, std::uint64_t offset, std::uint32_t bytes,
                                const SharedCell& cell) const;
  [[nodiscard]] bool ordered_after_write(const SharedCell& cell, const Touch& touch) const;
  [[nodiscard]] bool ordered_after_reads(const SharedCell& cell, const Touch& touch) const;
  void note_read(SharedCell& cell, const Touch& touch) const;
  void note_write(SharedCell& cell, const Touch& touch, bool joins) const;
  void meet(std::uint64_t offset, std::uint32_t warp);
  [[nodiscard]] std::uint32_t read_info(std::uint32_t warp) const {
    return warp | std::uint32_t{lane_sync_[warp]} << 16;
  }
  /// False after raising a fault.
  bool report(const Touch& touch, std::uint64_t offset, const SharedCell& cell, Hazard hazard) const;
  [[nodiscard]] std::string describe(const Touch& touch, std::uint64_t offset, const SharedCell& cell,
                                     Hazard hazard) const;

  SharedCells cells_;
  std::uint64_t asked_;
  std::uint32_t all_warps_;
  std::array<Clock, lane_count> synced_{};
  std::array<std::uint16_t, lane_count> lane_sync_{};
  std::array<Clock, 16> barriers_{};
  Clock proxy_fences_{};            ///< the last of each warp
  Clock cluster_arrivals_{};        ///< of the cluster's barrier, in its current phase
  Clock cluster_meeting_{};         ///< and in the one before
  Clock grid_waits_{};              ///< when each warp of waited_warps_ waited for the launches before
  std::uint32_t waited_warps_ = 0;  ///< a bit each
  std::unordered_map<std::uint64_t, Clock> meetings_;  ///< meetings at atomics and flags, by shared offset
  std::array<Undefined, lane_count> undefined_;
  std::array<GroupOrder, lane_count> group_orders_;
  std::unordered_map<std::uint32_t, std::uint32_t>
      tile_spans_;  ///< a bit for each span, by the copy's number
  std::array<GroupLog, lane_count / group_warps> group_logs_;
  UnwrittenRead missing_;
  std::uint32_t now_ = 1;
  std::uint32_t started_ = 1;  ///< stamps below belong to earlier blocks
  std::uint32_t settled_ = 1;  ///< accesses with stamps below come before whatever any warp does next
  std::uint32_t serial_ = 0;
};

/// Checks `touch` of global memory against what was written, and notes what it writes. False after raising a
/// fault.
bool strict_global_access(Warp& warp, const Op* op, const WarpAccess& touch);

}  // namespace kerncast::simulator
