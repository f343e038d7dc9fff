#include "runtime/simulator/exec/address.hpp"
#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/lanes.hpp"
#include "runtime/simulator/exec/mbarrier_state.hpp"

// Barriers in shared memory, and the bulk copies that report to them.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

const Op* update(Warp& w, const Op* op, u32 mask) {
  Access access;
  if (!resolve(w, op, mask, 8, access)) {
    access.fault.what = "mbarrier access";
    return raise_access(w, op, access.fault);
  }
  const auto what = static_cast<MbarrierOp>(op->count);
  const WarpAccess::Kind kind = what == MbarrierOp::init ? WarpAccess::Kind::write : WarpAccess::Kind::atomic;
  if (!watched(w, op, access, kind, mask, 8)) {
    return nullptr;
  }
  const bool returns = what >= MbarrierOp::arrive && what <= MbarrierOp::arrive_drop_no_complete;
  const bool has_argument = what < MbarrierOp::copies_arrive;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    u64 word = 0;
    __builtin_memcpy(&word, access.at(i), sizeof(word));
    const u64 before = word;
    const u32 argument = has_argument ? src<u32>(w, op->b)[i] : 1;
    if (const char* why = apply(what, argument, word); why != nullptr) {
      return raise_illegal(w, op, i, why);
    }
    __builtin_memcpy(access.at(i), &word, sizeof(word));
    if (!check_excess(w, op, word, i)) {
      return nullptr;
    }
    if (returns) {
      dst<u64>(w, op->d)[i] = before;
    }
  }
  return op + 1;
}

/// Counts the tries of a loop that does nothing but wait.
KC_INLINE void note_failed_wait(Warp& w, const Op* op, const State& state) {
  constexpr u64 longest_loop = 64;
  const bool again = w.waits_at == op && w.warp_instructions - w.waits_since <= longest_loop;
  w.waits_failed = again ? w.waits_failed + 1 : 0;
  w.waits_at = op;
  w.waits_since = w.warp_instructions;
  w.waits_pending = static_cast<u32>(state.pending);
  w.waits_bytes = state.bytes;
}

template <bool Parity, bool Suspends>
const Op* wait(Warp& w, const Op* op, u32 mask) {
  Access access;
  if (!resolve(w, op, mask, 8, access)) {
    access.fault.what = "mbarrier access";
    return raise_access(w, op, access.fault);
  }
  if (!watched(w, op, access, WarpAccess::Kind::atomic, mask, 8)) {
    return nullptr;
  }
  u32 done = 0;
  State last;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    u64 word = 0;
    __builtin_memcpy(&word, access.at(i), sizeof(word));
    const State state = unpack(word);
    if (!state.valid) {
      return raise_illegal(w, op, i, "waits for an mbarrier that is not initialised");
    }
    // The phase in question is either the current one, which is not complete, or the one before it, which is.
    const u64 asked = Parity ? src<u32>(w, op->b)[i] & 1U : unpack(src<u64>(w, op->b)[i]).parity;
    done |= asked != state.parity ? 1U << i : 0U;
    last = asked != state.parity ? last : state;
  }
  set_pred(w, op->d, mask, done);
  if (done == mask) {
    w.waits_failed = 0;
  }
  if (done != 0) {
    // Every lane that waited sees what the others did before they arrived.
    note_warp_sync(w);
  }
  if (Suspends && done != mask) {
    // Other warps must run before anything can change.
    count_through(w, op);
    note_failed_wait(w, op, last);
    w.resume = op + 1;
    w.event = Event::slice;
    return nullptr;
  }
  return op + 1;
}

const Op* pending_count(Warp& w, const Op* op, u32 mask) {
  const u64* a = src<u64>(w, op->a);
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) { return static_cast<u32>(a[i] & most_count); });
  return op + 1;
}

/// Host address of `bytes` bytes at `address`; null with `fault` filled in if they cannot be accessed.
std::byte* find(Warp& w, Space space, u64 address, u32 lane, u32 bytes, u32 alignment, AccessFault& fault) {
  fault.address = address;
  fault.lane = lane;
  fault.bytes = bytes;
  fault.space = space;
  fault.misaligned = address % alignment != 0;
  if (fault.misaligned) {
    return nullptr;
  }
  if (space == Space::shared) {
    return shared_at(w, address, bytes);
  }
  return known(w, address, bytes) ? reinterpret_cast<std::byte*>(address) : nullptr;
}

constexpr u32 unit = 16;

/// Copies `bytes` bytes for lane `i`, to the block of rank `rank` if the copy multicasts, and reports them to
/// the mbarrier. False after raising a fault.
bool copy_to(Warp& w, const Op* op, u32 i, u32 bytes, const std::byte* from, bool multicasts, u32 rank) {
  AccessFault fault;
  fault.what = "cp.async.bulk write";
  std::byte* to = find(w, static_cast<Space>(op->sub), src<u64>(w, op->a)[i], i, bytes, unit, fault);
  if (multicasts && to != nullptr) {
    to = shared_of(w, rank, src<u64>(w, op->a)[i], bytes);
  }
  if (to == nullptr) {
    raise_access(w, op, fault);
    return false;
  }
  Access touched;
  touched.kind = Access::Kind::uniform;
  touched.first = to;
  if (bytes != 0 && !watched(w, op, touched, WarpAccess::Kind::write, 1U << i, bytes)) {
    return false;
  }
  __builtin_memmove(to, from, bytes);
  if (op->count == 0) {
    return true;
  }
  fault.what = "mbarrier access";
  const u64 barrier = src<u64>(w, w.lists[op->d2])[i];
  std::byte* at = find(w, Space::shared, barrier, i, 8, 8, fault);
  if (multicasts && at != nullptr) {
    at = shared_of(w, rank, barrier, 8);
  }
  if (at == nullptr) {
    raise_access(w, op, fault);
    return false;
  }
  touched.first = at;
  if (!watched(w, op, touched, WarpAccess::Kind::atomic, 1U << i, 8)) {
    return false;
  }
  u64 word = 0;
  __builtin_memcpy(&word, at, sizeof(word));
  if (const char* why = apply(MbarrierOp::complete_tx, bytes, word); why != nullptr) {
    raise_illegal(w, op, i, why);
    return false;
  }
  __builtin_memcpy(at, &word, sizeof(word));
  return check_excess(w, op, word, i);
}

const Op* copy_bulk(Warp& w, const Op* op, u32 mask) {
  AccessFault fault;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    const u32 bytes = src<u32>(w, op->c)[i];
    if (bytes % unit != 0) {
      return raise_illegal(w, op, i, "copies a number of bytes that is not a multiple of 16");
    }
    fault.what = "cp.async.bulk read";
    const std::byte* from =
        find(w, static_cast<Space>(op->width), src<u64>(w, op->b)[i], i, bytes, unit, fault);
    if (from == nullptr) {
      return raise_access(w, op, fault);
    }
    Access touched;
    touched.kind = Access::Kind::uniform;
    touched.first = const_cast<std::byte*>(from);
    if (bytes != 0 && !watched(w, op, touched, WarpAccess::Kind::read, 1U << i, bytes)) {
      return nullptr;
    }
    const bool multicasts = (op->flags & flag::multicast) != 0;
    const u32 targets = multicasts ? src<u16>(w, w.lists[op->d2 + 1])[i] : 1U;
    for (u32 left = targets; left != 0; left &= left - 1) {
      const auto rank = static_cast<u32>(__builtin_ctz(left));
      if (multicasts && rank >= cluster_blocks(w)) {
        return raise_illegal(w, op, i, "copies to a block that its cluster does not have");
      }
      if (!copy_to(w, op, i, bytes, from, multicasts, rank)) {
        return nullptr;
      }
    }
  }
  return op + 1;
}

}  // namespace

Handler select_mbarrier(const Op& op) {
  if (op.code == Code::cp_bulk) {
    return copy_bulk;
  }
  if (op.code != Code::mbarrier) {
    return nullptr;
  }
  switch (static_cast<MbarrierOp>(op.count)) {
    case MbarrierOp::test_wait:
      return wait<false, false>;
    case MbarrierOp::test_wait_parity:
      return wait<true, false>;
    case MbarrierOp::try_wait:
      return wait<false, true>;
    case MbarrierOp::try_wait_parity:
      return wait<true, true>;
    case MbarrierOp::pending_count:
      return pending_count;
    default:
      return update;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
