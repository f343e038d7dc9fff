#include "runtime/simulator/profile.hpp"

#include <bit>
#include <cstddef>

namespace kerncast::simulator {

Tally::Tally(std::uint32_t instructions)
    : warp_steps_(std::size_t{instructions} + 1),
      thread_steps_(std::size_t{instructions} + 1),
      accesses_(instructions) {}

void Tally::access(std::uint32_t instruction, const Touch& touch) {
  InstructionCounts& counts = accesses_[instruction];
  counts.requests += 1;
  counts.bytes += std::uint64_t{touch.bytes} * static_cast<unsigned>(std::popcount(touch.mask));
}

void Tally::add_to(LaunchProfile& profile) const {
  profile.instructions.resize(accesses_.size());
  std::int64_t warps = 0;
  std::int64_t threads = 0;
  for (std::size_t i = 0; i < accesses_.size(); ++i) {
    warps += warp_steps_[i];
    threads += thread_steps_[i];
    InstructionCounts& counts = profile.instructions[i];
    counts.warp_instructions += static_cast<std::uint64_t>(warps);
    counts.thread_instructions += static_cast<std::uint64_t>(threads);
    counts.requests += accesses_[i].requests;
    counts.bytes += accesses_[i].bytes;
  }
}

}  // namespace kerncast::simulator
