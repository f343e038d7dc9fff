#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "runtime/simulator/machine/program.hpp"
#include "runtime/simulator/machine/state.hpp"
#include "runtime/simulator/machine/watch.hpp"

namespace kerncast::simulator {

/// The wgmma that a warp has issued and not yet waited for, as the PTX ISA orders them: registers are the
/// instruction's own until a wgmma.wait_group, other accesses to them need a wgmma.fence before the next
/// wgmma, and shared memory is read at any time up to the wait.
class GroupOrder {
 public:
  void clear();
  /// The warp issues `op`. False after raising a fault.
  bool issue(Warp& warp, const Op* op);
  /// The warp executes a fence, a commit or a wait. False after raising a fault.
  bool order(Warp& warp, const Op* op);
  /// Remembers what the wgmma `op` reads of shared memory.
  void note_read(const Op* op, const WarpAccess& touch);
  /// Looks at the registers of `op` before it runs. False after raising a fault.
  bool before(Warp& warp, const Op* op, std::uint32_t mask);
  /// True from the warp's first fence on.
  [[nodiscard]] bool watches() const { return fence_ != 0; }

 private:
  /// The state of 64 bytes of the warp's stack, the least that a register of 16 bits or more takes.
  struct Place {
    std::uint32_t group = 0;    ///< that the wgmma which names the register belongs to
    std::uint32_t touched = 0;  ///< the fence after which an instruction other than wgmma accessed it
    const Op* op = nullptr;     ///< that wgmma
    bool input = false;         ///< the register holds a part of A
  };
  struct Read {
    const Op* op = nullptr;
    std::uint32_t group = 0;
    std::uint32_t mask = 0;
    std::array<std::uint64_t, lane_count> at{};
  };

  Place& place(const Warp& warp, const OperandUse& use);
  [[nodiscard]] bool in_flight(const Place& place) const { return place.group > completed_; }
  bool copy(Warp& warp, const Op* op);
  bool complete(Warp& warp, std::uint32_t group);

  std::vector<Place> places_;
  std::deque<Read> reads_;
  std::uint32_t open_ = 1;       ///< the group that the next commit closes
  std::uint32_t completed_ = 0;  ///< groups up to this one have been waited for
  std::uint32_t fence_ = 0;      ///< number of fences
};

/// The wgmma of a warpgroup, which its four warps must execute in the same order and with the same operands.
class GroupLog {
 public:
  void clear();
  /// False after raising a fault.
  bool issue(Warp& warp, const Op* op, std::uint64_t a, std::uint64_t b, bool adds);

 private:
  struct Entry {
    const Op* op = nullptr;
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    bool adds = false;
    std::uint32_t warp = 0;
  };
  std::deque<Entry> entries_;
  std::uint64_t first_ = 0;  ///< number of the first entry
  std::array<std::uint64_t, group_warps> next_{};
};

}  // namespace kerncast::simulator
