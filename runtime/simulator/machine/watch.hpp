#pragma once

#include <cstddef>
#include <cstdint>

/// The machine's only view of what watches a launch: the strict checks and the profile. Memory handlers of
/// every x86-64 level report each warp-wide access that has passed the bounds and alignment checks; the
/// scheduler reports the rest. Plain data only, as in state.hpp.
namespace kerncast::simulator {

class GridLink;
struct LaunchProfile;
struct LaunchState;
struct Op;
struct Warp;
class StrictBlock;
class Tally;

/// One warp-wide access: which lanes, how many bytes each, and where in host memory. Whether a lane touches
/// global, shared or local memory shows in its host address.
struct WarpAccess {
  enum class Kind : std::uint8_t { read, write, atomic };
  Kind kind = Kind::read;
  std::uint32_t mask = 0;
  std::uint32_t bytes = 0;              ///< of each lane
  std::uint64_t first = 0;              ///< address of lane 0, if lanes are `stride` apart
  std::uint64_t stride = 0;             ///< 0: all lanes at `first`
  const std::uint64_t* host = nullptr;  ///< one address per lane, if they follow no stride

  [[nodiscard]] std::uint64_t at(std::uint32_t lane) const {
    return host != nullptr ? host[lane] : first + stride * lane;
  }
};

/// Reports an access to every watcher of `warp`'s launch. False after a check has raised a fault: the handler
/// then returns null and must not touch memory.
bool watch_access(Warp& warp, const Op* op, const WarpAccess& touch);

// The profile: one tally for each host thread of a launch.

struct DeleteTally {
  void operator()(Tally* tally) const;
};
/// A tally of a program of `instructions` PTX instructions, which the caller owns. `footprint`: it also notes
/// the global memory that is touched.
Tally* make_tally(std::uint32_t instructions, bool footprint);
void add_to_profile(const Tally& tally, LaunchProfile& profile);
/// `lanes` lanes of a warp went through the PTX instructions [from, to).
void count_run(Tally& tally, std::uint32_t from, std::uint32_t to, std::uint32_t lanes);
/// The branch that is PTX instruction `instruction` split a warp.
void count_divergence(Tally& tally, std::uint32_t instruction);
/// All threads of `warp` are done.
void count_end_of_warp(Tally& tally, const Warp& warp);

// The strict checks: one StrictBlock for each block.

struct DeleteStrict {
  void operator()(StrictBlock* strict) const;
};
/// The checks of a block with `shared_bytes` of shared memory, of which the launch asked for `asked`, and
/// `warps` warps. The caller owns it.
StrictBlock* make_strict(std::uint64_t shared_bytes, std::uint64_t asked, std::uint32_t warps);
/// Forgets the block before.
void strict_start(StrictBlock& strict);
/// Warp `warp` arrives at barrier `id`: its accesses so far come before those of the warps that wait there.
void strict_arrive(StrictBlock& strict, std::uint32_t warp, std::uint32_t id);
/// The warps in `waiting`, a bit each, leave barrier `id`.
void strict_leave(StrictBlock& strict, std::uint32_t waiting, std::uint32_t id);
/// Threads of warp `warp` have waited for the launches before.
void strict_grid_waited(StrictBlock& strict, std::uint32_t warp);
/// Looks at `op` before the lanes of `mask` of a cautious warp execute it. False after raising a fault.
bool strict_before(Warp& warp, const Op* op, std::uint32_t mask);
/// `warp` issues the wgmma `op` with these descriptors, `a` 0 if A lies in registers, and the accumulators
/// added if `adds`. False after raising a fault.
bool strict_group_product(Warp& warp, const Op* op, std::uint64_t a, std::uint64_t b, bool adds);
/// `warp` executes the wgmma.fence, commit_group or wait_group `op`. False after raising a fault.
bool strict_group_order(Warp& warp, const Op* op);
/// `lane` leaves an mbarrier at which all threads have arrived and `bytes` bytes more than expected. False
/// after raising a fault.
bool strict_excess(Warp& warp, const Op* op, std::uint32_t lane, std::uint64_t bytes);
/// The tensor copy `op` writes shared memory with a swizzle of `span` chunks of 16 bytes, 1 for none.
void strict_note_tile(Warp& warp, const Op* op, std::uint32_t span);
/// The wgmma `op` reads chunks of shared memory at `at`, by lanes of `mask`, as if written with such a
/// swizzle. False after raising a fault.
bool strict_tile(Warp& warp, const Op* op, const std::uint64_t* at, std::uint32_t mask, std::uint32_t span);
/// Warp `warp` arrives at the barrier of its cluster; all threads of the cluster have; `warp` has waited for
/// it.
void strict_cluster_arrived(StrictBlock& strict, std::uint32_t warp);
void strict_cluster_met(StrictBlock& strict);
void strict_cluster_passed(StrictBlock& strict, std::uint32_t warp);
/// Warp `warp` executes a fence.proxy.async of shared memory.
void strict_proxy_fence(StrictBlock& strict, std::uint32_t warp);
/// Lanes of warp `warp` met in a bar.warp.sync.
void strict_lanes_met(StrictBlock& strict, std::uint32_t warp);

// The check of launches that overlap.

/// Has the launch of `link` note the memory that it touches.
void note_accesses(GridLink& link);
/// Reports what the launch did, before waiting, to memory that a launch before it touched. All have ended.
void strict_end_of_grid(LaunchState& state);

}  // namespace kerncast::simulator
