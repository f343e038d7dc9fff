#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "runtime/simulator/machine/grid_link.hpp"
#include "runtime/simulator/machine/scheduler.hpp"
#include "runtime/simulator/machine/thread_pool.hpp"
#include "runtime/util/environment.hpp"

namespace kerncast::simulator {

namespace {

/// Rounds of turns that a block may take before another block gets the host thread, so that blocks that wait
/// for each other all make progress.
constexpr std::uint32_t rounds = 256;
/// Turns that a block of a cluster may take before the next one.
constexpr std::uint32_t cluster_turns = 4;
/// The most unfinished blocks of one host thread; the rest of the grid starts as these end.
constexpr std::size_t most_unfinished = 1024;
/// The most blocks of one host thread that wait for the launches before, unless they shall begin early. It is
/// about as many as a multiprocessor holds.
constexpr std::size_t most_waiting = 32;

/// Shared memory is given out in units of this many bytes, so a load may go beyond what was asked for.
constexpr std::uint64_t shared_granule = 128;

/// Seconds from KERNCAST_SIM_TIMEOUT; 0 if it is unset.
double time_limit() {
  return std::max(0.0, std::strtod(environment("KERNCAST_SIM_TIMEOUT").c_str(), nullptr));
}

std::chrono::steady_clock::time_point deadline_from_now(double seconds) {
  return std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                                std::chrono::duration<double>(seconds));
}

/// One host thread's share of a launch: takes blocks until none is left.
class Worker {
 public:
  explicit Worker(LaunchState& state)
      : state_(state),
        tally_(state.launch->profile != nullptr
                   ? make_tally(state.module->ops.back().prefix, state.launch->footprint)
                   : nullptr) {}

  void run() {
    if (state_.cluster_blocks > 1) {
      run_clusters();
    } else {
      run_blocks();
    }
    add_counts();
  }

 private:
  /// The blocks of a cluster that run together.
  struct Group {
    Cluster cluster;
    std::vector<std::unique_ptr<Block>> blocks;
    std::vector<bool> ended;
  };

  void run_blocks() {
    while (!stopped()) {
      if (out_of_time()) {
        break;
      }
      std::unique_ptr<Block> block = next_block();
      if (block == nullptr) {
        break;
      }
      forget_stale_ranges();
      const BlockStatus status = run_block(*block, rounds);
      if (link_ != nullptr) {
        tell_neighbours(*block, status);
      }
      switch (status) {
        case BlockStatus::done:
          count(*block);
          spare_ = std::move(block);
          break;
        case BlockStatus::unfinished:
          unfinished_.push_back(std::move(block));
          break;
        case BlockStatus::asleep:
          ++(block->sits ? sitting_ : waiting_);
          asleep_.push_back(std::move(block));
          break;
        case BlockStatus::stuck:  // A block alone completes its cluster's barrier.
        case BlockStatus::failed:
          count(*block);
          break;
      }
    }
  }

  /// Runs clusters, each of which has one host thread for all its blocks.
  void run_clusters() {
    while (!stopped() && !out_of_time()) {
      std::unique_ptr<Group> group = next_group();
      if (group == nullptr) {
        return;
      }
      forget_stale_ranges();
      if (advance(*group)) {
        spare_group_ = std::move(group);
      } else {
        unfinished_groups_.push_back(std::move(group));
      }
    }
  }

  std::unique_ptr<Group> next_group() {
    const std::uint64_t clusters = state_.blocks / state_.cluster_blocks;
    const std::uint64_t next = unfinished_groups_.size() < most_unfinished / most_cluster_blocks
                                   ? state_.next_block.fetch_add(1, std::memory_order_relaxed)
                                   : clusters;
    if (next < clusters) {
      std::unique_ptr<Group> group = spare_group_ ? std::move(spare_group_) : make_group();
      start(*group, next);
      return group;
    }
    if (unfinished_groups_.empty()) {
      return nullptr;
    }
    std::unique_ptr<Group> group = std::move(unfinished_groups_.front());
    unfinished_groups_.pop_front();
    return group;
  }

  std::unique_ptr<Group> make_group() {
    auto group = std::make_unique<Group>();
    group->cluster.memory.blocks = state_.cluster_blocks;
    for (std::uint32_t rank = 0; rank < state_.cluster_blocks; ++rank) {
      Block& block = *group->blocks.emplace_back(std::make_unique<Block>(state_));
      group->cluster.blocks.push_back(&block);
      group->cluster.memory.shared[rank] = block.shared.data();
    }
    return group;
  }

  /// Starts the blocks of cluster `index`, counted along x, y and z of the grid as blocks are.
  void start(Group& group, std::uint64_t index) {
    const std::array<std::uint32_t, 3>& grid = state_.launch->grid;
    const std::array<std::uint32_t, 3>& size = state_.launch->cluster;
    const std::uint64_t wide = grid[0] / size[0];
    const std::uint64_t high = grid[1] / size[1];
    group.cluster.arrived = 0;
    group.ended.assign(group.blocks.size(), false);
    for (std::uint32_t rank = 0; rank < state_.cluster_blocks; ++rank) {
      const std::uint64_t x = index % wide * size[0] + rank % size[0];
      const std::uint64_t y = index / wide % high * size[1] + rank / size[0] % size[1];
      const std::uint64_t z = index / wide / high * size[2] + rank / size[0] / size[1];
      group.blocks[rank]->start((z * grid[1] + y) * grid[0] + x, ranges_.data(), tally_.get(), &group.cluster,
                                rank);
    }
  }

  /// Gives the blocks of a cluster turns. True if all have ended, or the launch has stopped.
  bool advance(Group& group) {
    for (std::uint32_t round = 0; round < rounds; ++round) {
      bool all_ended = true;
      bool progress = false;
      for (std::size_t i = 0; i < group.blocks.size(); ++i) {
        if (group.ended[i]) {
          continue;
        }
        Block& block = *group.blocks[i];
        const BlockStatus status = run_block(block, cluster_turns);
        if (status == BlockStatus::failed) {
          count(block);
          return true;
        }
        group.ended[i] = status == BlockStatus::done;
        if (group.ended[i]) {
          count(block);
        }
        all_ended = all_ended && group.ended[i];
        progress = progress || status != BlockStatus::stuck;
      }
      if (all_ended) {
        return true;
      }
      if (!progress) {
        const auto waits = static_cast<std::size_t>(std::find(group.ended.begin(), group.ended.end(), false) -
                                                    group.ended.begin());
        Block& block = *group.blocks[waits];
        raise(block.warps.front(), FaultKind::deadlock, describe_deadlock(block));
        return true;
      }
    }
    return false;
  }

  /// Allocations that came or went since may have invalidated what this thread knows.
  void forget_stale_ranges() {
    if (const std::uint64_t now = state_.memory->generation(); now != generation_) {
      generation_ = now;
      ranges_.fill(Range{});
    }
  }

  void add_counts() {
    const std::lock_guard lock(state_.mutex);
    state_.counts.warp_instructions += counts_.warp_instructions;
    state_.counts.thread_instructions += counts_.thread_instructions;
    state_.counts.slept = std::max(state_.counts.slept, counts_.slept);
    if (tally_ != nullptr) {
      add_to_profile(*tally_, *state_.launch->profile);
    }
  }

  /// A block to run: a fresh one as long as there is room, else one that is unfinished. Null if none is left,
  /// or if the launch has stopped.
  std::unique_ptr<Block> next_block() {
    for (;;) {
      if (!asleep_.empty()) {
        wake();
      }
      const std::uint64_t next =
          has_room() ? state_.next_block.fetch_add(1, std::memory_order_relaxed) : state_.blocks;
      if (next < state_.blocks) {
        std::unique_ptr<Block> block = spare_ ? std::move(spare_) : std::make_unique<Block>(state_);
        block->start(next, ranges_.data(), tally_.get());
        return block;
      }
      if (!unfinished_.empty()) {
        std::unique_ptr<Block> block = std::move(unfinished_.front());
        unfinished_.pop_front();
        return block;
      }
      if (asleep_.empty()) {
        return nullptr;
      }
      sleep();
      if (stopped()) {
        return nullptr;
      }
    }
  }

  [[nodiscard]] bool has_room() const {
    return unfinished_.size() + asleep_.size() < most_unfinished &&
           (waiting_ < most_waiting || link_->early());
  }

  /// True if the launch has a fault, or comes after one that has.
  bool stopped() {
    if (link_ != nullptr && link_->before_failed()) {
      state_.stop.store(true, std::memory_order_relaxed);
    }
    return state_.stop.load(std::memory_order_relaxed);
  }

  /// Moves blocks that can go on to the unfinished ones.
  void wake() {
    const bool released = sitting_ != 0 && !link_->holds();
    const bool ready = waiting_ != 0 && link_->ready();
    if (!released && !ready) {
      return;
    }
    for (std::unique_ptr<Block>& block : std::exchange(asleep_, {})) {
      const bool goes_on = block->sits ? released : ready;
      if (!goes_on) {
        asleep_.push_back(std::move(block));
        continue;
      }
      --(block->sits ? sitting_ : waiting_);
      block->sits = false;
      unfinished_.push_back(std::move(block));
    }
  }

  /// Sleeps until some block can go on. Blocks that have no room would make others wait for ever, so they end
  /// what the launch and the one before it sit for.
  void sleep() {
    if (state_.next_block.load(std::memory_order_relaxed) < state_.blocks) {
      link_->settle();
      link_->release();
    }
    link_->sleep(waiting_ != 0, sitting_ != 0, state_.stop);
    if (state_.has_deadline) {
      state_.deadline.store(deadline_from_now(state_.time_limit), std::memory_order_relaxed);
    }
  }

  /// Tells the launch after this one, and the one before, what has become of a block.
  void tell_neighbours(Block& block, BlockStatus status) {
    if (status == BlockStatus::done) {
      trigger_block(block);
    }
    if (status == BlockStatus::unfinished) {
      // It may wait in a loop for what another block or launch does.
      link_->settle();
      link_->release();
    }
    if ((status == BlockStatus::done || (status == BlockStatus::asleep && !block.sits)) && !block.settled) {
      block.settled = true;
      if (state_.settled.fetch_add(1, std::memory_order_acq_rel) + 1 == state_.blocks) {
        link_->settle();
      }
    }
  }

  /// Ends a launch whose blocks are too short to look at the clock themselves.
  bool out_of_time() {
    if (!state_.has_deadline ||
        std::chrono::steady_clock::now() <= state_.deadline.load(std::memory_order_relaxed)) {
      return false;
    }
    const std::uint64_t next = std::min(state_.next_block.load(std::memory_order_relaxed), state_.blocks);
    state_.report(next, {FaultKind::launch_timeout,
                         fmt::format("kernel '{}': {} of its {} blocks had started when KERNCAST_SIM_TIMEOUT "
                                     "ran out",
                                     state_.function->name, next, state_.blocks)});
    return true;
  }

  void count(Block& block) {
    for (Warp& warp : block.warps) {
      if (tally_ != nullptr) {
        count_end_of_warp(*tally_, warp);
        warp.global_requests = 0;
      }
      counts_.warp_instructions += std::exchange(warp.warp_instructions, 0);
      counts_.thread_instructions += std::exchange(warp.thread_instructions, 0);
      counts_.slept = std::max(counts_.slept, std::exchange(warp.slept, 0));
    }
  }

  LaunchState& state_;
  GridLink* const link_ =
      state_.launch->link;  ///< null for a launch that stands alone: no block is ever asleep
  std::deque<std::unique_ptr<Block>> unfinished_;
  std::deque<std::unique_ptr<Block>> asleep_;
  std::size_t sitting_ = 0;  ///< blocks that are asleep until the launch is released
  std::size_t waiting_ = 0;  ///< and until the launches before have completed
  std::unique_ptr<Block> spare_;
  std::deque<std::unique_ptr<Group>> unfinished_groups_;
  std::unique_ptr<Group> spare_group_;
  std::array<Range, range_count> ranges_{};
  std::uint64_t generation_ = 0;
  LaunchCounts counts_;
  std::unique_ptr<Tally, DeleteTally> tally_;
};

/// The place where the blocks of a cooperative launch meet. %envreg1 and %envreg2 hold its address, and
/// cooperative_groups/details/driver_abi.h says what it is.
class GridWorkspace {
 public:
  GridWorkspace(const Launch& launch, Memory& memory) : memory_(memory) {
    if (launch.cooperative) {
      constexpr Layout fresh{sizeof(Layout), 0};
      address_ = memory.allocate(sizeof(Layout), MemoryKind::device, launch.device);
      if (address_ != nullptr) {
        std::memcpy(address_, &fresh, sizeof(fresh));
        memory.mark_written(address_, sizeof(fresh));
      }
    }
  }
  ~GridWorkspace() {
    if (address_ != nullptr) {
      memory_.release(address_);
    }
  }
  GridWorkspace(const GridWorkspace&) = delete;
  GridWorkspace& operator=(const GridWorkspace&) = delete;

  [[nodiscard]] const std::byte* address() const { return address_; }

 private:
  struct Layout {
    std::uint32_t size;
    std::uint32_t barrier;
  };
  Memory& memory_;
  std::byte* address_ = nullptr;
};

class RunningLaunch {
 public:
  explicit RunningLaunch(Memory& memory) : memory_(memory) { memory.launch_begins(); }
  ~RunningLaunch() { memory_.launch_ends(); }
  RunningLaunch(const RunningLaunch&) = delete;
  RunningLaunch& operator=(const RunningLaunch&) = delete;

 private:
  Memory& memory_;
};

/// The launch's blocks have ended: its dependent may begin, and the launches before it come to their end.
void end_link(LaunchState& state) {
  GridLink& link = *state.launch->link;
  link.trigger();
  link.settle();
  link.release();
  link.await_before();
  if (link.accesses != nullptr && !link.before_failed()) {
    strict_end_of_grid(state);
  }
}

Fault refuse(FaultKind kind, std::string why) {
  return {kind, std::move(why)};
}

}  // namespace

Fault execute(const Launch& launch, Memory& memory, LaunchCounts* counts) {
  const Program& module = launch.module->program();
  if (launch.kernel < 0 || static_cast<std::size_t>(launch.kernel) >= module.kernels.size()) {
    return refuse(FaultKind::illegal_instruction, fmt::format("the module has no kernel {}", launch.kernel));
  }
  const KernelInfo& info = module.kernels[static_cast<std::size_t>(launch.kernel)];
  if (!info.refusal.empty()) {
    return refuse(FaultKind::illegal_instruction, fmt::format("kernel '{}': {}", info.name, info.refusal));
  }
  const RunningLaunch running(memory);
  LaunchState state;
  state.launch = &launch;
  state.module = &module;
  state.function = &module.functions[module.kernel_functions[static_cast<std::size_t>(launch.kernel)]];
  state.memory = &memory;
  const std::uint64_t threads = std::uint64_t{launch.block[0]} * launch.block[1] * launch.block[2];
  state.blocks = std::uint64_t{launch.grid[0]} * launch.grid[1] * launch.grid[2];
  if (threads == 0 || threads > 1024 || launch.block[0] > 1024 || launch.block[1] > 1024 ||
      state.blocks == 0) {
    return refuse(FaultKind::illegal_instruction,
                  fmt::format("kernel '{}': a grid of {}x{}x{} blocks of {}x{}x{} threads cannot run",
                              info.name, launch.grid[0], launch.grid[1], launch.grid[2], launch.block[0],
                              launch.block[1], launch.block[2]));
  }
  const std::uint64_t cluster = std::uint64_t{launch.cluster[0]} * launch.cluster[1] * launch.cluster[2];
  if (cluster == 0 || cluster > most_cluster_blocks || launch.grid[0] % launch.cluster[0] != 0 ||
      launch.grid[1] % launch.cluster[1] != 0 || launch.grid[2] % launch.cluster[2] != 0 ||
      (cluster > 1 && launch.link != nullptr)) {
    return refuse(FaultKind::illegal_instruction,
                  fmt::format("kernel '{}': clusters of {}x{}x{} blocks cannot run in a grid of {}x{}x{}",
                              info.name, launch.cluster[0], launch.cluster[1], launch.cluster[2],
                              launch.grid[0], launch.grid[1], launch.grid[2]));
  }
  state.cluster_blocks = static_cast<std::uint32_t>(cluster);
  if (launch.parameters.size() < info.parameter_bytes) {
    return refuse(FaultKind::illegal_instruction,
                  fmt::format("kernel '{}' takes {} bytes of parameters, got {}", info.name,
                              info.parameter_bytes, launch.parameters.size()));
  }
  state.threads = static_cast<std::uint32_t>(threads);
  state.warps = (state.threads + lane_count - 1) / lane_count;
  const std::uint64_t alignment = module.dynamic_shared_alignment;
  state.dynamic_shared_base = (info.static_shared_bytes + alignment - 1) / alignment * alignment;
  state.shared_bytes = launch.dynamic_shared_bytes == 0
                           ? info.static_shared_bytes
                           : state.dynamic_shared_base + launch.dynamic_shared_bytes;
  state.shared_granules = (state.shared_bytes + shared_granule - 1) / shared_granule * shared_granule;
  const GridWorkspace workspace(launch, memory);
  if (launch.cooperative && workspace.address() == nullptr) {
    return refuse(FaultKind::illegal_instruction,
                  fmt::format("kernel '{}': no memory for its grid's barrier", info.name));
  }
  state.grid_workspace = reinterpret_cast<std::uintptr_t>(workspace.address());
  if (const double limit = time_limit(); limit > 0) {
    state.has_deadline = true;
    state.time_limit = limit;
    state.deadline = deadline_from_now(limit);
  }
  if (launch.link != nullptr) {
    launch.link->begin(state.blocks, info.name);
    // The blocks of a cooperative launch may wait in one of them and meet in memory.
    if (launch.checks && !launch.cooperative) {
      note_accesses(*launch.link);
    }
  }
  const auto helpers = static_cast<unsigned>(std::min<std::uint64_t>(state.blocks - 1, host_threads() - 1));
  run_together(helpers, [&state, &info] {
    try {
      Worker(state).run();
    } catch (const std::bad_alloc&) {
      state.report(0, {FaultKind::illegal_instruction,
                       fmt::format("kernel '{}': no host memory for its blocks' registers and shared memory",
                                   info.name)});
    }
  });
  if (launch.link != nullptr) {
    end_link(state);
  }
  if (counts != nullptr) {
    *counts = state.counts;
  }
  return state.fault;
}

}  // namespace kerncast::simulator
