#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "runtime/simulator/machine/cluster.hpp"
#include "runtime/simulator/machine/machine.hpp"
#include "runtime/simulator/machine/program.hpp"
#include "runtime/simulator/machine/state.hpp"

/// The state of a running launch: what its host threads share, its blocks and their warps.
namespace kerncast::simulator {

inline constexpr std::uint32_t barrier_count = 16;

struct Barrier {
  std::uint32_t arrived = 0;   ///< threads waiting or counted by bar.arrive
  std::uint32_t expected = 0;  ///< 0: all threads of the block that have not exited
  bool waiting = false;        ///< some fragment waits
  std::uint32_t votes = 0;     ///< bar.red: threads whose predicate holds
  std::uint32_t voters = 0;
};

/// One launch, shared by the host threads that run its blocks.
struct LaunchState {
  const Launch* launch = nullptr;
  const Program* module = nullptr;
  const PtxFunction* function = nullptr;
  Memory* memory = nullptr;
  std::uint32_t threads = 0;  ///< per block
  std::uint32_t warps = 0;
  std::uint64_t blocks = 0;
  std::uint32_t cluster_blocks = 1;
  std::uint64_t shared_bytes = 0;     ///< that the launch asks for
  std::uint64_t shared_granules = 0;  ///< bytes that a block gets: whole granules
  std::uint64_t dynamic_shared_base = 0;
  std::uint64_t grid_workspace = 0;  ///< address of a cooperative launch's; else 0
  bool has_deadline = false;
  double time_limit = 0;  ///< seconds
  std::atomic<std::chrono::steady_clock::time_point> deadline{};

  std::atomic<std::uint64_t> next_block{0};  ///< the next cluster if they have several blocks
  std::atomic<std::uint64_t> settled{0};     ///< blocks that have ended, or waited for the launches before
  std::atomic<bool> stop{false};
  std::mutex mutex;
  Fault fault;                    ///< guarded by mutex
  std::uint64_t fault_block = 0;  ///< guarded by mutex
  LaunchCounts counts;            ///< guarded by mutex
  std::set<const Op*> found_at;   ///< guarded by mutex: ops whose violation is among the launch's findings

  /// Keeps the fault of the lowest block and tells everyone to stop.
  void report(std::uint64_t block, Fault fault);
};

/// A block and all memory its threads own. Reused for one block after another of a launch.
struct Block {
  explicit Block(LaunchState& state);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  /// Puts every thread of block `index` at the kernel's start, as the block of rank `rank` of `group`, or of
  /// a cluster of its own if that is null. `tally` may be null.
  void start(std::uint64_t index, Range* ranges, Tally* tally, Cluster* group = nullptr,
             std::uint32_t rank = 0);

  LaunchState* launch;
  std::uint64_t linear = 0;
  std::array<std::uint32_t, 3> position{};
  std::vector<Warp> warps;
  std::array<Barrier, barrier_count> barriers{};
  std::uint32_t live_threads = 0;
  std::uint64_t clock = 0;
  bool triggered = false;     ///< it has let a dependent launch begin
  bool sits = false;          ///< it goes on when its launch is released
  bool waits = false;         ///< some fragment waits for the launches before
  bool has_waited = false;    ///< some thread has done so
  bool settled = false;       ///< it is counted in LaunchState::settled
  Cluster alone;              ///< its cluster if it shares none
  Cluster* cluster = &alone;  ///< never null
  AlignedBytes registers;
  AlignedBytes shared;
  AlignedBytes local;
  std::unique_ptr<StrictBlock, DeleteStrict> strict;  ///< null: no checks
};

/// `asleep`: nothing of the block can go on before its launch is released or the launches before have
/// completed. `stuck`: nothing can before other blocks of its cluster do.
enum class BlockStatus : std::uint8_t { done, unfinished, asleep, stuck, failed };

/// Runs all warps of `block` in turns until the block ends, fails, or has used up `turns` turns without
/// ending.
BlockStatus run_block(Block& block, std::uint32_t turns);

/// Coordinates of thread `lane` of `warp` in its block.
std::array<std::uint32_t, 3> thread_position(const Warp& warp, std::uint32_t lane);
/// "kernel 'k', block (0,0,0), thread (1,0,0)".
std::string describe_thread(const Warp& warp, const Op* op, std::uint32_t lane);
/// ", at PTX line 12: ld.global.u32 ...".
std::string describe_op(const Warp& warp, const Op* op);
std::string describe_op(const Program& module, const Op* op);
/// Records `fault` for the block of `warp` and ends its run.
const Op* raise(Warp& warp, FaultKind kind, std::string message);
/// A strict check has found a mistake at `op`. True if the launch goes on, false after raising a fault.
bool violation(Warp& warp, const Op* op, const std::function<std::string()>& text);
/// Counts the run up to `op`, which is not done yet.
void count_before(Warp& warp, const Op* op);
/// Ends the run of a warp whose fragments changed, and its turn once that has had its share of branches and
/// calls.
void end_run(Warp& warp);
/// False if the handler of an aligned barrier must return null: lanes of the warp are not there. Those at
/// `op` wait for them if they may come; else it is a violation.
bool meet_aligned(Warp& warp, const Op* op, std::uint32_t mask);
/// Lets waiting fragments of complete barriers go on; called whenever a thread arrives or exits.
void settle_barriers(Block& block);
/// Counts the block among those that let a dependent launch begin, unless it is counted already.
void trigger_block(Block& block);
/// Lets fragments that wait for the launches before go on.
void end_grid_wait(Block& block);
/// The message of a block in which nothing can go on.
std::string describe_deadlock(const Block& block);

}  // namespace kerncast::simulator
