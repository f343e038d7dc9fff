#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/simulator/machine/instruction.hpp"
#include "runtime/simulator/machine/watch.hpp"

/// Warps, their fragments and their block. Plain data, shared by the scheduler and the executors of every
/// x86-64 level. The functions at the end are the scheduler's services to instruction handlers.
namespace kerncast::simulator {

struct Block;
struct LaunchState;
class WrittenMap;

/// Lanes of a warp that are at the same instruction of the same call.
struct Fragment {
  /// `grid`: it waits for the launches before to complete; `cluster`: for the threads of its cluster.
  enum class State : std::uint8_t { ready, parked, barrier, grid, cluster };
  const Op* at = nullptr;
  std::uint32_t mask = 0;
  std::uint32_t frame = 0;
  State state = State::ready;
  std::uint8_t barrier = 0;
  std::uint64_t stamp = 0;  ///< when it last ran, for fair turns
};

/// The reason why a handler ended a warp's run.
enum class Event : std::uint8_t {
  none,
  reschedule,  ///< the fragment list changed; the current fragment is `resume` with `active`, maybe empty
  slice,       ///< the turn is over; continue at `resume`
  fault,
};

/// A part of an allocation that a launch has touched: looked up once, then checked by comparison.
struct Range {
  std::uint64_t base = 0;
  std::uint64_t end = 0;
  WrittenMap* written = nullptr;  ///< null: taken as written
};

inline constexpr std::uint32_t range_count = 8;

/// The shared memory of the blocks of a cluster, by rank. Each has as much as the others.
struct ClusterMemory {
  std::uint32_t blocks = 1;
  std::byte* shared[most_cluster_blocks] = {};
};

struct Warp {
  std::byte* base[2] = {nullptr, nullptr};  ///< register frame of the running fragment, constants
  std::uint32_t active = 0;                 ///< lanes of the running fragment
  std::uint32_t live = 0;                   ///< lanes that have not exited
  const Op* limit = nullptr;                ///< the running fragment stops here to meet another one
  const Op* resume = nullptr;
  Event event = Event::none;
  std::uint32_t run_prefix = 0;  ///< Op::prefix where the uncounted run started
  std::uint32_t slice = 0;       ///< backward branches left in this turn
  std::uint32_t frame = 0;
  std::uint64_t warp_instructions = 0;
  std::uint64_t thread_instructions = 0;
  std::uint64_t slept = 0;            ///< nanoseconds, by nanosleep
  std::uint64_t global_requests = 0;  ///< counted under a tally only

  Range* ranges = nullptr;  ///< range_count entries, of this host thread
  std::byte* shared = nullptr;
  std::uint64_t shared_bytes = 0;  ///< in whole granules, more than the launch asked for
  const ClusterMemory* cluster = nullptr;
  std::uint32_t rank = 0;             ///< of the block in its cluster
  std::uint32_t cluster_arrived = 0;  ///< lanes that have arrived at the cluster's barrier and not waited
  std::uint32_t cluster_odd = 0;      ///< those of them that did so in an odd phase
  std::byte* local = nullptr;         ///< this warp's local memory, one lane after the other
  std::uint64_t local_bytes = 0;      ///< per lane
  const std::byte* parameters = nullptr;
  std::uint64_t parameter_bytes = 0;
  const std::uint32_t* lists = nullptr;

  std::byte* stack = nullptr;
  std::uint32_t stack_bytes = 0;
  std::uint32_t index = 0;  ///< in its block
  std::uint32_t fragment_count = 0;
  std::uint32_t slices_apart = 0;  ///< turns that ended while the warp was split
  bool rotate = false;             ///< let another fragment than the lowest run next
  Block* block = nullptr;
  bool watched = false;           ///< memory handlers call watch_access
  bool cautious = false;          ///< registers hold values that nobody wrote: strict_before looks at each op
  StrictBlock* strict = nullptr;  ///< null: no checks beyond bounds and alignment
  Tally* tally = nullptr;         ///< null: no profile
  const Op* waits_at = nullptr;   ///< the last mbarrier.try_wait that failed
  std::uint64_t waits_since = 0;  ///< warp_instructions at that time
  std::uint32_t waits_failed =
      0;  ///< times that it failed in a row, with little and no other access in between
  std::uint32_t waits_pending = 0;  ///< arrivals that its mbarrier lacked
  std::int64_t waits_bytes = 0;     ///< and bytes
  Fragment fragments[lane_count];
};

/// A memory access outside what the kernel may touch, as reported by a handler.
struct AccessFault {
  std::uint64_t address = 0;  ///< as the kernel computed it, in `space`
  std::uint32_t lane = 0;
  std::uint32_t bytes = 0;
  Space space = Space::generic;
  bool misaligned = false;
  const char* what = "access";
};

// Services of the scheduler (block.cpp, faults.cpp). A handler returns the const Op* that a service returns.

/// Records a memory fault; the launch stops.
const Op* raise_access(Warp& warp, const Op* op, const AccessFault& fault);
/// Records an illegal instruction of `lane`: `why` is a phrase such as "names lanes outside its mask".
const Op* raise_illegal(Warp& warp, const Op* op, std::uint32_t lane, const char* why);
/// Records that `lane` takes part in a shuffle that reads lane `from`, which does not. Null after a fault.
const Op* raise_shuffle(Warp& warp, const Op* op, std::uint32_t lane, std::uint32_t from);
const Op* raise_trap(Warp& warp, const Op* op, std::uint32_t mask);
/// Finds the allocation that holds `address` and puts it first in the warp's ranges. False if there is none.
bool find_range(Warp& warp, std::uint64_t address);
/// Counts the run up to and including `op`.
void count_through(Warp& warp, const Op* op);
/// Tells the profile that the branch `op` splits the warp.
void note_divergence(Warp& warp, const Op* op);
/// Tells the checks that lanes of the warp met in a bar.warp.sync.
void note_warp_sync(Warp& warp);
/// Adds lanes at `at` to the warp's fragments, joining them to a ready fragment there.
void add_fragment(Warp& warp, const Op* at, std::uint32_t mask, std::uint32_t frame, Fragment::State state);
/// Ends `mask`'s threads.
const Op* exit_lanes(Warp& warp, const Op* op, std::uint32_t mask);
/// For instructions with a member mask: parks lanes whose named members have not all arrived, and returns the
/// lanes that can go. `members` holds each lane's mask. If the result is 0, the handler returns null.
std::uint32_t gather_members(Warp& warp, const Op* op, std::uint32_t mask, const std::uint32_t* members);
/// The value that the handler returns after gather_members let lanes go on beyond `op`.
const Op* after_members(Warp& warp, const Op* op, std::uint32_t went);
const Op* barrier(Warp& warp, const Op* op, std::uint32_t mask);
const Op* grid_wait(Warp& warp, const Op* op, std::uint32_t mask);
const Op* grid_trigger(Warp& warp, const Op* op, std::uint32_t mask);
/// True if the warp belongs to a whole warpgroup: four warps of its block from a multiple of four on.
bool in_warpgroup(const Warp& warp);
const Op* cluster_arrive(Warp& warp, const Op* op, std::uint32_t mask);
const Op* cluster_wait(Warp& warp, const Op* op, std::uint32_t mask);
const Op* call_function(Warp& warp, const Op* op, std::uint32_t mask);
const Op* return_function(Warp& warp, const Op* op, std::uint32_t mask);
const Op* call_host(Warp& warp, const Op* op, std::uint32_t mask);
const Op* branch_table(Warp& warp, const Op* op, std::uint32_t mask, const std::uint32_t* index);
/// Reads a special register for all lanes. The values have 64 bits; narrower reads take the low part.
void read_special(Warp& warp, const Op* op, std::uint64_t* values);

}  // namespace kerncast::simulator
