#include "runtime/simulator/exec/address.hpp"
#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/lanes.hpp"
#include "runtime/simulator/exec/members.hpp"

namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

constexpr unsigned side = 8;
constexpr unsigned row_bytes = 16;

/// Lane i of a register holds elements 2i and 2i+1 of an 8x8 matrix of 16-bit elements in row order, so the
/// lanes of a register are the matrix as it lies in memory.
using Matrix = u16[side * side];

KC_INLINE void transpose(const u16* from, u16* to) {
  for (unsigned row = 0; row < side; ++row) {
    for (unsigned column = 0; column < side; ++column) {
      to[row * side + column] = from[column * side + row];
    }
  }
}

/// The lanes whose addresses are used.
KC_INLINE u32 givers(const Op* op) {
  return op->count == 4 ? all_lanes : (1U << (side * op->count)) - 1;
}

/// Lanes 8j to 8j+7 give the row addresses of matrix j; the others give none. Generic addresses must be
/// shared ones.
KC_INLINE bool resolve_rows(Warp& w, const Op* op, Access& access, const char* what) {
  const unsigned rows = side * op->count;
  const bool found = resolve(w, op, givers(op), row_bytes, access);
  access.fault.what = what;
  if (!found || static_cast<Space>(op->sub) == Space::shared) {
    return found;
  }
  for (unsigned lane = 0; lane < rows; ++lane) {
    const std::byte* at = access.at(lane);
    if (at < w.shared || at >= w.shared + w.shared_bytes) {
      const u64 address =
          (op->flags & flag::narrow_address) != 0 ? src<u32>(w, op->a)[lane] : src<u64>(w, op->a)[lane];
      return fail_lane(access, address + static_cast<u64>(op->imm), lane, row_bytes, Space::shared, false);
    }
  }
  return true;
}

const Op* load_matrix(Warp& w, const Op* op, u32 mask) {
  return with_warp(w, op, mask, op->c, [&](u32) {
    Access access;
    if (!resolve_rows(w, op, access, "ldmatrix read")) {
      raise_access(w, op, access.fault);
      return;
    }
    if (!watched(w, op, access, WarpAccess::Kind::read, givers(op), row_bytes)) {
      return;
    }
    for (unsigned j = 0; j < op->count; ++j) {
      alignas(64) Matrix rows;
      for (unsigned row = 0; row < side; ++row) {
        __builtin_memcpy(rows + std::size_t{row} * side, access.at(j * side + row), row_bytes);
      }
      u16* d = dst<u16>(w, w.lists[op->d2 + j]);
      if ((op->flags & flag::transpose) != 0) {
        transpose(rows, d);
      } else {
        __builtin_memcpy(d, rows, sizeof(rows));
      }
    }
  });
}

const Op* store_matrix(Warp& w, const Op* op, u32 mask) {
  return with_warp(w, op, mask, op->c, [&](u32) {
    Access access;
    if (!resolve_rows(w, op, access, "stmatrix write")) {
      raise_access(w, op, access.fault);
      return;
    }
    if (!watched(w, op, access, WarpAccess::Kind::write, givers(op), row_bytes)) {
      return;
    }
    for (unsigned j = 0; j < op->count; ++j) {
      const u16* a = src<u16>(w, w.lists[op->d2 + j]);
      alignas(64) Matrix rows;
      if ((op->flags & flag::transpose) != 0) {
        transpose(a, rows);
      } else {
        __builtin_memcpy(rows, a, sizeof(rows));
      }
      for (unsigned row = 0; row < side; ++row) {
        __builtin_memcpy(access.at(j * side + row), rows + std::size_t{row} * side, row_bytes);
      }
    }
  });
}

const Op* move_matrix(Warp& w, const Op* op, u32 mask) {
  return with_warp(w, op, mask, static_cast<u32>(op->imm), [&](u32) {
    alignas(64) Matrix turned;
    transpose(src<u16>(w, op->a), turned);
    __builtin_memcpy(dst<u16>(w, op->d), turned, sizeof(turned));
  });
}

}  // namespace

Handler select_matrix(const Op& op) {
  switch (op.code) {
    case Code::ldmatrix:
      return load_matrix;
    case Code::stmatrix:
      return store_matrix;
    case Code::movmatrix:
      return move_matrix;
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
