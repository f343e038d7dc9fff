#include "runtime/simulator/exec/address.hpp"
#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/lanes.hpp"

// Addresses in the shared memory of a cluster's blocks.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

constexpr u64 offset_mask = (u64{1} << cluster_shift) - 1;

/// The rank of the block that a shared address, generic or not, lies in; most_cluster_blocks if in none.
u32 rank_of(const Warp& w, u64 address) {
  const u64 window = address & window_mask;
  if (window != 0 && window != shared_window) {
    return most_cluster_blocks;
  }
  const u64 block = (address & ~window_mask) >> cluster_shift;
  return block == 0 ? w.rank : block > cluster_blocks(w) ? most_cluster_blocks : static_cast<u32>(block - 1);
}

template <class T>
const Op* map_address(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const u32* rank = src<u32>(w, op->b);
  T* d = dst<T>(w, op->d);
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    if (rank[i] >= cluster_blocks(w)) {
      return raise_illegal(w, op, i, "maps an address to a block that its cluster does not have");
    }
    if (rank_of(w, a[i]) == most_cluster_blocks) {
      return raise_illegal(w, op, i, "maps an address that is not in shared memory");
    }
    d[i] = static_cast<T>((a[i] & ~offset_mask & (sizeof(T) == 8 ? window_mask : 0)) |
                          u64{rank[i] + 1} << cluster_shift | (a[i] & offset_mask));
  }
  return op + 1;
}

template <class T>
const Op* rank_of_address(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  u32* d = dst<u32>(w, op->d);
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    const u32 rank = rank_of(w, a[i]);
    if (rank == most_cluster_blocks) {
      return raise_illegal(w, op, i, "asks for the rank of an address that is not in shared memory");
    }
    d[i] = rank;
  }
  return op + 1;
}

}  // namespace

Handler select_cluster(const Op& op) {
  switch (op.code) {
    case Code::mapa:
      return op.type == Type::u64 ? map_address<u64> : map_address<u32>;
    case Code::cta_rank:
      return op.type == Type::u64 ? rank_of_address<u64> : rank_of_address<u32>;
    case Code::cluster_arrive:
      return cluster_arrive;
    case Code::cluster_wait:
      return cluster_wait;
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
