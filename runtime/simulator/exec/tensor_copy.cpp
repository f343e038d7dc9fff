#include "runtime/simulator/exec/address.hpp"
#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/lanes.hpp"
#include "runtime/simulator/exec/mbarrier_state.hpp"
#include "runtime/simulator/machine/tensor_map.hpp"

// Copies between shared memory and the box of a tensor that a tensor map describes.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

constexpr u32 chunk = 16;
constexpr u32 map_alignment = 64;
constexpr u32 box_alignment = 128;
constexpr u32 barrier_bytes = 8;
constexpr u32 most_row_bytes = 256 * 8;

/// One lane's copy.
struct BoxCopy {
  TensorMap map;
  bool loads = false;
  u32 lane = 0;
  s64 corner[most_tensor_dimensions] = {};
  u64 shared = 0;     ///< address of the box
  u32 row_bytes = 0;  ///< of the box along dimension 0
  u32 pitch = 0;      ///< bytes from one row to the next in shared memory
  u32 rows = 0;
  s64 first = 0;  ///< elements of a row that lie within the tensor: from here
  s64 end = 0;    ///< to here
};

const Op* fail_copy(Warp& w, const Op* op, AccessFault& fault, const char* what, u64 address, u32 lane,
                    u32 bytes, Space space, bool misaligned) {
  fault = {address, lane, bytes, space, misaligned, what};
  return raise_access(w, op, fault);
}

/// Tells the watchers of `bytes` bytes at `at`. False after raising a fault.
bool tell(Warp& w, const Op* op, const std::byte* at, u32 bytes, u32 lane, WarpAccess::Kind kind) {
  Access touched;
  touched.kind = Access::Kind::uniform;
  touched.first = const_cast<std::byte*>(at);
  return bytes == 0 || watched(w, op, touched, kind, 1U << lane, bytes);
}

bool read_map(Warp& w, const Op* op, u64 address, BoxCopy& copy) {
  AccessFault fault;
  const u32 lane = copy.lane;
  Access access;
  if (address % map_alignment != 0) {
    fail_copy(w, op, fault, "tensor map read", address, lane, sizeof(TensorMap), Space::generic, true);
    return false;
  }
  // Both halves, as an access is aligned to its size and a map is not.
  if (!locate(w, Space::generic, address + map_alignment, lane, map_alignment, access) ||
      !locate(w, Space::generic, address, lane, map_alignment, access)) {
    fail_copy(w, op, fault, "tensor map read", address, lane, sizeof(TensorMap), Space::generic, false);
    return false;
  }
  __builtin_memcpy(&copy.map, reinterpret_cast<const std::byte*>(access.host[lane]), sizeof(TensorMap));
  if (copy.map.marked != TensorMap::mark) {
    raise_illegal(w, op, lane, "passes a tensor map that cuTensorMapEncodeTiled has not made");
    return false;
  }
  if (copy.map.rank != op->count) {
    raise_illegal(w, op, lane, "passes a tensor map of another number of dimensions");
    return false;
  }
  return true;
}

/// The shared address of chunk `c` of row `row`. A swizzle exchanges the chunks of its span by the number of
/// the row of 128 bytes that they lie in.
u64 chunk_address(const BoxCopy& copy, u32 row, u32 c) {
  const u64 linear = copy.shared + u64{row} * copy.pitch + u64{c} * chunk;
  return linear ^ ((linear >> 7) & (copy.map.span - 1U)) << 4;
}

/// The place of row `row` of the box in global memory, at the first of its elements that lie within the
/// tensor. False if none does.
bool row_within(const BoxCopy& copy, u32 row, u64& address) {
  const TensorMap& map = copy.map;
  if (copy.first >= copy.end) {
    return false;
  }
  address = map.address + static_cast<u64>(copy.corner[0] + copy.first) * map.element_bytes;
  for (u32 i = 1; i < map.rank; ++i) {
    const u32 count = map.count(i);
    const s64 at = copy.corner[i] + static_cast<s64>(row % count) * map.step[i];
    row /= count;
    if (at < 0 || at > static_cast<s64>(map.last[i])) {
      return false;
    }
    address += static_cast<u64>(at) * map.stride[i];
  }
  return true;
}

/// Moves the rows of the box, between `shared` on the host and the tensor. False after raising a fault.
bool move_rows(Warp& w, const Op* op, const BoxCopy& copy, std::byte* const shared) {
  AccessFault fault;
  for (u32 row = 0; row < copy.rows; ++row) {
    u64 address = 0;
    const bool within = row_within(copy, row, address);
    const auto skipped = static_cast<u32>(within ? copy.first * copy.map.element_bytes : 0);
    const auto bytes = static_cast<u32>(within ? (copy.end - copy.first) * copy.map.element_bytes : 0);
    if (within && !known(w, address, bytes)) {
      fail_copy(w, op, fault, copy.loads ? "cp.async.bulk.tensor read" : "cp.async.bulk.tensor write",
                address, copy.lane, bytes, Space::global, false);
      return false;
    }
    auto* const global = reinterpret_cast<std::byte*>(address);
    alignas(64) std::byte line[most_row_bytes];
    if (copy.loads) {
      __builtin_memset(line, 0, copy.row_bytes);
      if (within) {
        if (!tell(w, op, global, bytes, copy.lane, WarpAccess::Kind::read)) {
          return false;
        }
        __builtin_memcpy(line + skipped, global, bytes);
      }
    }
    for (u32 c = 0; c < copy.row_bytes / chunk; ++c) {
      std::byte* const at = shared + (chunk_address(copy, row, c) - copy.shared);
      if (copy.loads) {
        __builtin_memcpy(at, line + std::size_t{c} * chunk, chunk);
      } else {
        __builtin_memcpy(line + std::size_t{c} * chunk, at, chunk);
      }
    }
    if (!copy.loads && within) {
      if (!tell(w, op, global, bytes, copy.lane, WarpAccess::Kind::write)) {
        return false;
      }
      __builtin_memcpy(global, line + skipped, bytes);
    }
  }
  return true;
}

/// Tells the watchers of the box in shared memory. False after raising a fault.
bool tell_box(Warp& w, const Op* op, const BoxCopy& copy, const std::byte* shared) {
  const WarpAccess::Kind kind = copy.loads ? WarpAccess::Kind::write : WarpAccess::Kind::read;
  if (copy.pitch == copy.row_bytes) {
    return tell(w, op, shared, copy.pitch * copy.rows, copy.lane, kind);
  }
  for (u32 row = 0; row < copy.rows; ++row) {
    for (u32 c = 0; c < copy.row_bytes / chunk; ++c) {
      const std::byte* const at = shared + (chunk_address(copy, row, c) - copy.shared);
      if (!tell(w, op, at, chunk, copy.lane, kind)) {
        return false;
      }
    }
  }
  return true;
}

bool complete_bytes(Warp& w, const Op* op, u64 address, std::byte* barrier, u32 bytes, u32 lane) {
  AccessFault fault;
  if (barrier == nullptr || address % barrier_bytes != 0) {
    fail_copy(w, op, fault, "mbarrier access", address, lane, barrier_bytes, Space::shared,
              address % barrier_bytes != 0);
    return false;
  }
  if (!tell(w, op, barrier, barrier_bytes, lane, WarpAccess::Kind::atomic)) {
    return false;
  }
  u64 word = 0;
  __builtin_memcpy(&word, barrier, sizeof(word));
  if (const char* why = apply(MbarrierOp::complete_tx, bytes, word); why != nullptr) {
    raise_illegal(w, op, lane, why);
    return false;
  }
  __builtin_memcpy(barrier, &word, sizeof(word));
  return check_excess(w, op, word, lane);
}

/// Copies one lane's box. False after raising a fault.
bool copy_box(Warp& w, const Op* op, u32 lane) {
  BoxCopy copy;
  copy.loads = op->width != 0;
  copy.lane = lane;
  if (!read_map(w, op, src<u64>(w, op->b)[lane], copy)) {
    return false;
  }
  const TensorMap& map = copy.map;
  const u32* const list = w.lists + op->d2;
  for (u32 i = 0; i < map.rank; ++i) {
    copy.corner[i] = src<s32>(w, list[i])[lane];
  }
  copy.shared = src<u64>(w, op->a)[lane];
  copy.row_bytes = u32{map.box[0]} * map.element_bytes;
  copy.pitch = map.span == 1 ? copy.row_bytes : map.span * chunk;
  copy.rows = 1;
  for (u32 i = 1; i < map.rank; ++i) {
    copy.rows *= map.count(i);
  }
  copy.first = copy.corner[0] < 0 ? -copy.corner[0] : 0;
  const s64 left = static_cast<s64>(map.last[0]) + 1 - copy.corner[0];
  copy.end = left < map.box[0] ? left : map.box[0];
  AccessFault fault;
  const u32 held = copy.pitch * copy.rows;
  const char* const what = copy.loads ? "cp.async.bulk.tensor write" : "cp.async.bulk.tensor read";
  if (copy.shared % box_alignment != 0) {
    fail_copy(w, op, fault, what, copy.shared, lane, held, Space::shared, true);
    return false;
  }
  const bool multicasts = (op->flags & flag::multicast) != 0;
  const u32 targets = multicasts ? src<u16>(w, list[map.rank + 1])[lane] : 1U;
  for (u32 rest = targets; rest != 0; rest &= rest - 1) {
    const auto rank = static_cast<u32>(__builtin_ctz(rest));
    if (multicasts && rank >= cluster_blocks(w)) {
      raise_illegal(w, op, lane, "copies to a block that its cluster does not have");
      return false;
    }
    std::byte* const shared =
        multicasts ? shared_of(w, rank, copy.shared, held) : shared_at(w, copy.shared, held);
    if (shared == nullptr) {
      fail_copy(w, op, fault, what, copy.shared, lane, held, Space::shared, false);
      return false;
    }
    if (copy.loads && w.strict != nullptr) {
      strict_note_tile(w, op, map.span);
    }
    if (!tell_box(w, op, copy, shared) || !move_rows(w, op, copy, shared)) {
      return false;
    }
    if (copy.loads) {
      const u64 barrier = src<u64>(w, list[map.rank])[lane];
      std::byte* const at =
          multicasts ? shared_of(w, rank, barrier, barrier_bytes) : shared_at(w, barrier, barrier_bytes);
      if (!complete_bytes(w, op, barrier, at, copy.row_bytes * copy.rows, lane)) {
        return false;
      }
    }
  }
  return true;
}

const Op* copy_tensor(Warp& w, const Op* op, u32 mask) {
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    if (!copy_box(w, op, static_cast<u32>(__builtin_ctz(rest)))) {
      return nullptr;
    }
  }
  return op + 1;
}

}  // namespace

Handler select_tensor_copy(const Op& op) {
  return op.code == Code::cp_tensor ? copy_tensor : nullptr;
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
