#pragma once

#include "runtime/simulator/exec/lanes.hpp"

/// The meeting of lanes before an instruction that several of them execute together.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

/// Runs `f` for the lanes whose named members are all here; the others wait. The usual case, a whole warp at
/// the instruction, is decided without looking at other fragments.
template <class F>
KC_INLINE const Op* with_members(Warp& w, const Op* op, u32 mask, u32 members_at, F f) {
  const u32* members = src<u32>(w, members_at);
  if (mask == w.live && is_constant(members_at) && (members[0] & w.live) == w.live) {
    f(mask);
    return w.event == Event::fault ? nullptr : op + 1;
  }
  const u32 ready = gather_members(w, op, mask, members);
  if (ready == 0) {
    return nullptr;
  }
  // Groups with different masks are served one by one.
  for (u32 rest = ready; rest != 0;) {
    const u32 wanted = members[__builtin_ctz(rest)];
    u32 group = 0;
    for (u32 left = rest; left != 0; left &= left - 1) {
      const auto i = static_cast<unsigned>(__builtin_ctz(left));
      group |= members[i] == wanted ? 1U << i : 0U;
    }
    f(group);
    rest &= ~group;
  }
  if (w.event == Event::fault) {
    return nullptr;
  }
  return after_members(w, op, ready);
}

/// Runs `f` for instructions that need the whole warp, such as those on matrices.
template <class F>
KC_INLINE const Op* with_warp(Warp& w, const Op* op, u32 mask, u32 all_at, F f) {
  if (w.live != all_lanes) {
    return raise_illegal(w, op, static_cast<u32>(__builtin_ctz(~w.live)),
                         "is missing, and the instruction needs all 32 threads of its warp");
  }
  return with_members(w, op, mask, all_at, f);
}

}  // namespace

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
