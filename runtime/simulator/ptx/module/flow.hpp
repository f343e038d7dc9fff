#pragma once

#include <cstdint>
#include <vector>

#include "runtime/simulator/ptx/registers.hpp"

namespace kerncast::simulator {

/// Ops that run one after the other, and the blocks that may come next.
struct BasicBlock {
  std::uint32_t first = 0;
  std::uint32_t end = 0;
  std::vector<std::uint32_t> next;
  bool falls_through = false;  ///< the block after it in the code is among `next` without a branch to it
};

/// The blocks of a function in the order of its code.
struct FlowGraph {
  std::vector<BasicBlock> blocks;
  std::vector<std::uint32_t> block_of;  ///< by op, and one beyond the last
  std::vector<bool> leader;             ///< whether an op begins a block
};

/// The flow of `body`. `guarded` says by op whether it may be left out, so that a guarded branch falls
/// through.
FlowGraph find_flow(const FunctionBody& body, const std::vector<bool>& guarded);

}  // namespace kerncast::simulator
