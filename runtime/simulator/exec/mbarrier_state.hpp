#pragma once

#include "runtime/simulator/exec/lanes.hpp"

/// The 64 bits of an mbarrier, which are opaque to kernels. Here they are, from bit 0: arrivals pending in
/// this phase (20 bits), arrivals expected in the next (20), bytes outstanding (21, signed), the phase's
/// parity, and a bit that init sets.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

constexpr unsigned count_bits = 20;
constexpr u64 most_count = (u64{1} << count_bits) - 1;
constexpr s64 most_bytes = (s64{1} << count_bits) - 1;
constexpr unsigned bytes_at = 2 * count_bits;
constexpr unsigned parity_at = 61;
constexpr u64 valid_mark = u64{1} << 62;

struct State {
  u64 pending = 0;
  u64 expected = 0;
  s64 bytes = 0;
  u64 parity = 0;
  bool valid = false;
};

KC_INLINE State unpack(u64 word) {
  State state;
  state.pending = word & most_count;
  state.expected = word >> count_bits & most_count;
  state.bytes = static_cast<s64>(word << (64 - parity_at)) >> (64 - parity_at + bytes_at);
  state.parity = word >> parity_at & 1U;
  state.valid = (word & valid_mark) != 0;
  return state;
}

KC_INLINE u64 pack(const State& state) {
  const u64 bytes = static_cast<u64>(state.bytes) & ((u64{1} << (parity_at - bytes_at)) - 1);
  return state.pending | state.expected << count_bits | bytes << bytes_at | state.parity << parity_at |
         valid_mark;
}

KC_INLINE void complete_if_done(State& state) {
  if (state.pending == 0 && state.bytes == 0) {
    state.pending = state.expected;
    state.parity ^= 1U;
  }
}

/// Applies one thread's operation to `word`. Returns why that is illegal, or null.
inline const char* apply(MbarrierOp what, u32 argument, u64& word) {
  if (what == MbarrierOp::init) {
    if (argument == 0 || argument > most_count) {
      return "initialises an mbarrier with a count outside 1 to 1048575";
    }
    State fresh;
    fresh.pending = argument;
    fresh.expected = argument;
    word = pack(fresh);
    return nullptr;
  }
  if (what == MbarrierOp::inval) {
    word = 0;
    return nullptr;
  }
  State state = unpack(word);
  if (!state.valid) {
    return "uses an mbarrier that is not initialised";
  }
  const bool drops = what == MbarrierOp::arrive_drop || what == MbarrierOp::arrive_drop_expect_tx ||
                     what == MbarrierOp::arrive_drop_no_complete;
  const bool expects = what == MbarrierOp::expect_tx || what == MbarrierOp::arrive_expect_tx ||
                       what == MbarrierOp::arrive_drop_expect_tx;
  if (expects) {
    state.bytes += argument;
  } else if (what == MbarrierOp::complete_tx) {
    state.bytes -= argument;
  }
  if (state.bytes > most_bytes || state.bytes < -most_bytes) {
    return "takes an mbarrier's byte count outside its range";
  }
  if (what == MbarrierOp::complete_tx) {
    complete_if_done(state);
  } else if (what != MbarrierOp::expect_tx && what != MbarrierOp::copies_arrive) {
    const u64 count = expects || what == MbarrierOp::copies_arrive_no_inc ? 1 : argument;
    if (count == 0 || count > state.pending || (drops && count > state.expected)) {
      return "arrives at an mbarrier more often than its phase expects";
    }
    state.pending -= count;
    state.expected -= drops ? count : 0;
    const bool may_complete =
        what != MbarrierOp::arrive_no_complete && what != MbarrierOp::arrive_drop_no_complete;
    if (!may_complete && state.pending == 0 && state.bytes == 0) {
      return "completes a phase of an mbarrier by an arrival with .noComplete";
    }
    complete_if_done(state);
  }
  word = pack(state);
  return nullptr;
}

/// A strict check: a phase whose threads have all arrived, and to which more bytes have come than were
/// expected, does not complete. False after raising a fault.
KC_INLINE bool check_excess(Warp& w, const Op* op, u64 word, u32 lane) {
  if (w.strict == nullptr) {
    return true;
  }
  const State state = unpack(word);
  return !state.valid || state.pending != 0 || state.bytes >= 0 ||
         strict_excess(w, op, lane, static_cast<u64>(-state.bytes));
}

}  // namespace

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
