#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/simulator/machine/program.hpp"
#include "runtime/simulator/machine/state.hpp"
#include "runtime/simulator/machine/watch.hpp"

namespace kerncast::simulator {

/// The bytes of a read that nobody wrote.
struct UnwrittenRead {
  std::uint32_t lanes = 0;
  std::array<std::uint64_t, lane_count> first{};  ///< of each lane's access the first such byte
  std::array<std::uint32_t, lane_count> bytes{};  ///< and a bit for each among its first 32 bytes

  void add(std::uint32_t lane, std::uint64_t at, std::uint32_t count) {
    if ((lanes >> lane & 1U) == 0) {
      lanes |= 1U << lane;
      first[lane] = at;
      bytes[lane] = 0;
    }
    bytes[lane] |= at < 32 ? ((1U << count) - 1) << at : 0U;
  }
};

/// The registers of a warp whose values come from memory that nobody wrote.
///
/// Loading such memory is no mistake, as compilers load ahead and by vectors; using it is. A value is used by
/// a branch or guard, as an address, by a store, an atomic, a shuffle, a vote or a matrix instruction. What
/// arithmetic makes of it is undefined as well, but a selection or a logical operation may drop it.
class Undefined {
 public:
  void clear();
  /// Notes what the load or other read `op` brings of shared memory, and empties `missing`. A read that is no
  /// load uses the values at once. False after raising a fault.
  bool note_shared(Warp& warp, const Op* op, const WarpAccess& touch, UnwrittenRead& missing);
  /// note_shared() for global memory, where each lane of `missing` lies in the allocation [base, end).
  bool note_global(Warp& warp, const Op* op, const WarpAccess& touch, UnwrittenRead& missing,
                   std::uint64_t base, std::uint64_t end);
  /// Looks at `op` before it runs for the lanes of `mask`. False after raising a fault.
  bool before(Warp& warp, const Op* op, std::uint32_t mask);

 private:
  /// The origin of values.
  struct Origin {
    const Op* op = nullptr;
    std::uint32_t bytes = 0;  ///< of each lane
    bool shared = false;
    std::uint64_t base = 0;  ///< of the allocation, or of shared memory on the host
    std::uint64_t end = 0;
    std::array<std::uint64_t, lane_count> at{};
    UnwrittenRead missing;
  };
  /// Lanes whose byte of a register is undefined. A predicate has one byte.
  struct Bytes {
    std::array<std::uint32_t, 8> lanes{};
    std::array<const Origin*, lane_count> origin{};  ///< of each lane

    [[nodiscard]] std::uint32_t any() const;
    void add(const Bytes& other);
  };
  struct Register {
    std::uint32_t place = 0;  ///< in the warp's stack
    Bytes bytes;
  };
  using Uses = std::span<const OperandUse>;

  bool note(Warp& warp, const Op* op, UnwrittenRead& missing, Origin origin);
  [[nodiscard]] Bytes read(const Warp& warp, const OperandUse& use, std::uint32_t mask) const;
  void write(Warp& warp, const OperandUse& use, std::uint32_t mask, const Bytes& bytes);
  /// Marks or clears the results of `op`, whose k-th source of registers is sources[k].
  void propagate(Warp& warp, const Op* op, std::uint32_t mask, Uses uses, const std::vector<Bytes>& sources);
  bool report(Warp& warp, const Op* use, std::uint32_t lane, const Origin& origin) const;

  std::vector<Register> registers_;
  std::vector<std::unique_ptr<const Origin>> origins_;  ///< kept until no register is undefined
};

}  // namespace kerncast::simulator
