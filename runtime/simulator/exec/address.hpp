#pragma once

#include "runtime/simulator/exec/lanes.hpp"

/// From the addresses of a warp's lanes to host memory. Nothing is touched before every lane's access has
/// been checked.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

struct Access {
  enum class Kind : u8 {
    contiguous,  ///< all lanes, one after the other from `first`
    uniform,     ///< the lanes of the mask all at `first`
    scattered,   ///< lane i at `at(i)`
  };
  Kind kind = Kind::scattered;
  std::byte* first = nullptr;
  u64 stride = 0;
  AccessFault fault;
  alignas(64) u64 host[lane_count];

  [[nodiscard]] KC_INLINE std::byte* at(unsigned lane) const {
    return kind == Kind::scattered    ? reinterpret_cast<std::byte*>(host[lane])
           : kind == Kind::contiguous ? first + stride * lane
                                      : first;
  }
};

KC_INLINE bool within(const Range& range, u64 address, u64 bytes) {
  return address >= range.base && address < range.end && bytes <= range.end - address;
}

/// True if [address, address + bytes) lies in one allocation, which is then in ranges[0].
KC_INLINE bool known(Warp& w, u64 address, u64 bytes) {
  if (within(w.ranges[0], address, bytes)) {
    return true;
  }
  for (u32 i = 1; i < range_count; ++i) {
    if (within(w.ranges[i], address, bytes)) {
      const Range found = w.ranges[i];
      w.ranges[i] = w.ranges[0];
      w.ranges[0] = found;
      return true;
    }
  }
  return find_range(w, address) && within(w.ranges[0], address, bytes);
}

KC_INLINE bool fail_lane(Access& access, u64 address, u32 lane, u32 bytes, Space space, bool misaligned) {
  access.fault.address = address;
  access.fault.lane = lane;
  access.fault.bytes = bytes;
  access.fault.space = space;
  access.fault.misaligned = misaligned;
  return false;
}

/// Number of blocks of the warp's cluster.
KC_INLINE u32 cluster_blocks(const Warp& w) {
  return w.cluster == nullptr ? 1 : w.cluster->blocks;
}

/// Host address of `bytes` bytes at a shared address, taken in the block of rank `rank`; null if they do not
/// lie in its memory.
KC_INLINE std::byte* shared_of(const Warp& w, u32 rank, u64 address, u64 bytes) {
  const u64 offset = address & ((u64{1} << cluster_shift) - 1);
  if (offset > w.shared_bytes || bytes > w.shared_bytes - offset) {
    return nullptr;
  }
  return (w.cluster == nullptr ? w.shared : w.cluster->shared[rank]) + offset;
}

/// Host address of `bytes` bytes at a shared address, which may be that of another block of the cluster; null
/// if there are none.
KC_INLINE std::byte* shared_at(const Warp& w, u64 address, u64 bytes) {
  const u64 block = address >> cluster_shift;
  if (block > cluster_blocks(w)) {
    return nullptr;
  }
  return shared_of(w, block == 0 ? w.rank : static_cast<u32>(block - 1), address, bytes);
}

/// Checks one lane's access in any space and stores its host address. False with access.fault filled in.
inline bool locate(Warp& w, Space space, u64 address, u32 lane, u32 bytes, Access& access) {
  u64 offset = address;
  Space where_to = space;
  if (space == Space::generic) {
    const u64 window = address & window_mask;
    where_to = window == shared_window  ? Space::shared
               : window == local_window ? Space::local
               : window == param_window ? Space::param
                                        : Space::global;
    if (where_to != Space::global) {
      offset = address & ~window_mask;
    }
  }
  if ((address & (bytes - 1)) != 0) {
    return fail_lane(access, address, lane, bytes, space, true);
  }
  u64 limit = 0;
  const std::byte* base = nullptr;
  switch (where_to) {
    case Space::shared: {
      const std::byte* const at = shared_at(w, offset, bytes);
      access.host[lane] = reinterpret_cast<u64>(at);
      return at != nullptr || fail_lane(access, address, lane, bytes, space, false);
    }
    case Space::local:
      limit = w.local_bytes;
      base = w.local + lane * w.local_bytes;
      break;
    case Space::param:
      limit = w.parameter_bytes;
      base = w.parameters;
      break;
    default:
      access.host[lane] = address;
      return known(w, address, bytes) || fail_lane(access, address, lane, bytes, space, false);
  }
  if (offset > limit || bytes > limit - offset) {
    return fail_lane(access, address, lane, bytes, space, false);
  }
  access.host[lane] = reinterpret_cast<u64>(base) + offset;
  return true;
}

/// The slow path, lane by lane, for mixed spaces, several allocations and faults.
__attribute__((noinline)) bool locate_each(Warp& w, Space space, const u64* address, u32 mask, u32 bytes,
                                           Access& access) {
  access.kind = Access::Kind::scattered;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    if (!locate(w, space, address[i], i, bytes, access)) {
      return false;
    }
  }
  return true;
}

/// Chooses the cheapest form for `address`, whose lanes outside `mask` hold copies of an active lane's.
KC_INLINE bool arrange(Warp& w, Space named, const u64* address, u32 mask, u32 bytes, Access& access) {
  const u64 first = address[0];
  u64 apart = 0;
  u64 differs = 0;
  KC_LANES {
    apart |= (address[i] - first) ^ static_cast<u64>(i) * bytes;
    differs |= address[i] ^ first;
  }
  // Generic addresses that all lie in the shared window are shared ones; `floor` is what they count from.
  const bool window =
      named == Space::generic && (first & window_mask) == shared_window && (differs & window_mask) == 0;
  const bool shared = named == Space::shared || window;
  u64 floor = window ? shared_window : 0;
  if (mask == all_lanes && apart == 0 && (first & (bytes - 1)) == 0) {
    const u64 total = static_cast<u64>(bytes) * lane_count;
    if (shared) {
      const u64 offset = first - floor;
      if (offset <= w.shared_bytes && total <= w.shared_bytes - offset) {
        access.kind = Access::Kind::contiguous;
        access.first = w.shared + offset;
        access.stride = bytes;
        return true;
      }
    } else if (named != Space::local && known(w, first, total)) {
      access.kind = Access::Kind::contiguous;
      access.first = reinterpret_cast<std::byte*>(first);
      access.stride = bytes;
      return true;
    }
    return locate_each(w, named, address, mask, bytes, access);
  }
  if (differs == 0 && named != Space::local && (first & window_mask) != local_window) {
    const auto lane = static_cast<unsigned>(__builtin_ctz(mask));
    if (!locate(w, named, first, lane, bytes, access)) {
      return false;
    }
    access.kind = Access::Kind::uniform;
    access.first = reinterpret_cast<std::byte*>(access.host[lane]);
    return true;
  }
  u64 base = 0;
  u64 span = 0;
  u64 step = 0;
  if (shared) {
    base = reinterpret_cast<u64>(w.shared);
    span = w.shared_bytes;
  } else if (named == Space::local) {
    base = reinterpret_cast<u64>(w.local);
    span = w.local_bytes;
    step = w.local_bytes;
  } else if (known(w, first, bytes)) {
    floor = w.ranges[0].base;
    base = floor;
    span = w.ranges[0].end - floor;
  }
  if (span < bytes) {
    return locate_each(w, named, address, mask, bytes, access);
  }
  const u64 last = span - bytes;
  u64 bad = 0;
  KC_LANES {
    const u64 offset = address[i] - floor;
    bad |= (offset > last ? u64{1} : u64{0}) | (address[i] & (bytes - 1));
    access.host[i] = base + offset + step * i;
  }
  access.kind = Access::Kind::scattered;
  return bad == 0 || locate_each(w, named, address, mask, bytes, access);
}

/// Lanes outside the mask get an active lane's address, so that checks may look at all lanes.
KC_INLINE void fill_inactive(u64* address, u32 mask) {
  if (mask == all_lanes) {
    return;
  }
  const u64 stand_in = address[__builtin_ctz(mask)];
  alignas(64) u64 same[lane_count];
  KC_LANES {
    same[i] = stand_in;
  }
  blend(address, same, ~mask);
}

KC_INLINE bool resolve_global(Warp& w, const u64* base, s64 offset, u32 mask, u32 bytes, Access& access) {
  alignas(64) u64 address[lane_count];
  const auto add = static_cast<u64>(offset);
  KC_LANES {
    address[i] = base[i] + add;
  }
  fill_inactive(address, mask);
  return arrange(w, Space::global, address, mask, bytes, access);
}

/// Resolves the address operand a + imm of `op` in its space.
KC_INLINE bool resolve(Warp& w, const Op* op, u32 mask, u32 bytes, Access& access) {
  alignas(64) u64 address[lane_count];
  const auto add = static_cast<u64>(op->imm);
  if ((op->flags & flag::narrow_address) != 0) {
    const u32* a = src<u32>(w, op->a);
    const auto narrow = static_cast<u32>(add);
    KC_LANES {
      // The sum wraps at 32 bits.
      const u32 sum = a[i] + narrow;
      address[i] = sum;
    }
  } else {
    const u64* a = src<u64>(w, op->a);
    KC_LANES {
      address[i] = a[i] + add;
    }
  }
  fill_inactive(address, mask);
  const auto space = static_cast<Space>(op->sub);
  access.fault.what = op->code == Code::st ? "write" : op->code == Code::ld ? "read" : "access";
  return arrange(w, space, address, mask, bytes, access);
}

/// Reports an access that is about to happen to the launch's watchers. False if one of them ended the launch.
KC_INLINE bool watched(Warp& w, const Op* op, const Access& access, WarpAccess::Kind kind, u32 mask,
                       u32 bytes) {
  if (!w.watched) {
    return true;
  }
  WarpAccess touch;
  touch.kind = kind;
  touch.mask = mask;
  touch.bytes = bytes;
  touch.first = reinterpret_cast<u64>(access.first);
  touch.stride = access.kind == Access::Kind::contiguous ? access.stride : 0;
  touch.host = access.kind == Access::Kind::scattered ? access.host : nullptr;
  return watch_access(w, op, touch);
}

}  // namespace

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
