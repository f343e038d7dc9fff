#include "runtime/simulator/ptx/module/flow.hpp"

#include <cstddef>

namespace kerncast::simulator {

namespace {

bool ends_block(Code code) {
  return code == Code::bra || code == Code::brx || code == Code::ret || code == Code::exit ||
         code == Code::trap;
}

void find_leaders(const FunctionBody& body, std::vector<bool>& leader) {
  const std::size_t count = body.ops.size();
  leader.assign(count + 1, false);
  leader[0] = true;
  for (std::size_t i = 0; i < count; ++i) {
    if (body.ops[i].code == Code::bra) {
      leader[static_cast<std::size_t>(body.ops[i].imm)] = true;
    }
    if (ends_block(body.ops[i].code)) {
      leader[i + 1] = true;
    }
  }
  for (const std::uint32_t target : body.table_targets) {
    leader[target] = true;
  }
}

}  // namespace

FlowGraph find_flow(const FunctionBody& body, const std::vector<bool>& guarded) {
  FlowGraph flow;
  find_leaders(body, flow.leader);
  const std::size_t count = body.ops.size();
  std::vector<BasicBlock>& blocks = flow.blocks;
  flow.block_of.assign(count + 1, 0);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (flow.leader[i]) {
      if (!blocks.empty()) {
        blocks.back().end = i;
      }
      blocks.push_back({i, static_cast<std::uint32_t>(count), {}, false});
    }
    flow.block_of[i] = static_cast<std::uint32_t>(blocks.size() - 1);
  }
  for (std::uint32_t b = 0; b < blocks.size(); ++b) {
    BasicBlock& block = blocks[b];
    const std::uint32_t last = block.end - 1;
    const Op& op = body.ops[last];
    if (op.code == Code::bra) {
      block.next.push_back(flow.block_of[static_cast<std::size_t>(op.imm)]);
    } else if (op.code == Code::brx) {
      for (std::uint32_t t = 0; t < op.d2; ++t) {
        block.next.push_back(flow.block_of[body.table_targets[static_cast<std::size_t>(op.imm) + t]]);
      }
    }
    if ((!ends_block(op.code) || guarded[last]) && b + 1 < blocks.size()) {
      block.falls_through = true;
      block.next.push_back(b + 1);
    }
  }
  return flow;
}

}  // namespace kerncast::simulator
