#pragma once

#include <cstdint>
#include <vector>

#include "runtime/simulator/watch.hpp"

namespace kerncast::simulator {

/// What one PTX instruction of a module did during a launch. Exact, the same on every run and machine.
struct InstructionCounts {
  std::uint64_t warp_instructions = 0;
  std::uint64_t thread_instructions = 0;
  std::uint64_t requests = 0;  ///< warp-wide memory accesses
  std::uint64_t bytes = 0;     ///< asked for by the lanes together
};

/// Counts of a launch by PTX instruction of its module, in the order of the text; empty until the launch has
/// run.
struct LaunchProfile {
  std::vector<InstructionCounts> instructions;
};

/// One host thread's share of a LaunchProfile.
class Tally {
 public:
  explicit Tally(std::uint32_t instructions);

  /// `lanes` lanes of a warp went through the PTX instructions [from, to).
  void run(std::uint32_t from, std::uint32_t to, std::uint32_t lanes) {
    warp_steps_[from] += 1;
    warp_steps_[to] -= 1;
    thread_steps_[from] += lanes;
    thread_steps_[to] -= lanes;
  }
  void access(std::uint32_t instruction, const Touch& touch);
  void add_to(LaunchProfile& profile) const;

 private:
  // Differences between neighbours: a run of instructions costs two additions, whatever its length.
  std::vector<std::int64_t> warp_steps_;
  std::vector<std::int64_t> thread_steps_;
  std::vector<InstructionCounts> accesses_;
};

}  // namespace kerncast::simulator
