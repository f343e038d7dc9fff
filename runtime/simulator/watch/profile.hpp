#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/simulator/machine/instruction.hpp"
#include "runtime/simulator/machine/watch.hpp"
#include "runtime/simulator/watch/footprint.hpp"
#include "runtime/simulator/watch/profile_abi.hpp"

namespace kerncast::simulator {

/// Counts of a launch by PTX instruction of its module, in the order of its ops; empty until the launch has
/// run.
struct LaunchProfile {
  std::vector<KerncastSimCounts> instructions;
  Footprint footprint;                      ///< empty unless Launch::footprint asks for it
  std::uint64_t longest_warp = 0;           ///< instructions of the warp that ran most of them
  std::uint64_t longest_warp_requests = 0;  ///< its global requests
};

/// One host thread's share of a LaunchProfile.
class Tally {
 public:
  Tally(std::uint32_t instructions, bool footprint);

  /// `lanes` lanes of a warp went through the PTX instructions [from, to).
  void run(std::uint32_t from, std::uint32_t to, std::uint32_t lanes) {
    warp_steps_[from] += 1;
    warp_steps_[to] -= 1;
    thread_steps_[from] += lanes;
    thread_steps_[to] -= lanes;
  }
  void access(Warp& warp, std::uint32_t instruction, const WarpAccess& touch);
  void divergent(std::uint32_t instruction) { counts_[instruction].divergent += 1; }
  /// All threads of `warp` are done.
  void end_of_warp(const Warp& warp);
  void add_to(LaunchProfile& profile) const;

 private:
  // Differences between neighbours: a run of instructions costs two additions, whatever its length.
  std::vector<std::int64_t> warp_steps_;
  std::vector<std::int64_t> thread_steps_;
  std::vector<KerncastSimCounts> counts_;  ///< all but the steps
  std::unique_ptr<Footprint> footprint_;   ///< null if none is asked for
  std::uint64_t longest_warp_ = 0;
  std::uint64_t longest_warp_requests_ = 0;
};

/// Class of an instruction, as KerncastSimInstruction::unit names it.
const char* unit_of(const Op& op);

}  // namespace kerncast::simulator
