#include "runtime/simulator/ptx/module/layout.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <queue>
#include <utility>
#include <vector>

#include "runtime/simulator/ptx/module/flow.hpp"

namespace kerncast::simulator {

namespace {

constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
/// Loops inside each other beyond which the order of the text is kept.
constexpr unsigned deepest_loop = 64;

/// Finds the strongly connected components of the blocks of one group, without recursion.
class Components {
 public:
  Components(const FlowGraph& flow, const std::vector<std::uint32_t>& group)
      : component(flow.blocks.size(), none),
        flow_(flow),
        group_(group),
        index_(flow.blocks.size(), none),
        low_(flow.blocks.size(), 0) {}

  /// Numbers the components of `blocks`, which are one group. The numbers of all others stay.
  void find(const std::vector<std::uint32_t>& blocks) {
    count = 0;
    next_index_ = 0;
    for (const std::uint32_t block : blocks) {
      index_[block] = component[block] = none;
    }
    for (const std::uint32_t block : blocks) {
      if (index_[block] == none) {
        walk(block);
      }
    }
  }

  std::vector<std::uint32_t> component;  ///< by block, within its group
  std::uint32_t count = 0;

 private:
  struct Visit {
    std::uint32_t block;
    std::size_t edge;
  };

  void enter(std::uint32_t block) {
    index_[block] = low_[block] = next_index_++;
    stack_.push_back(block);
    path_.push_back({block, 0});
  }

  void walk(std::uint32_t root) {
    enter(root);
    while (!path_.empty()) {
      Visit& visit = path_.back();
      const std::uint32_t block = visit.block;
      if (visit.edge < flow_.blocks[block].next.size()) {
        const std::uint32_t next = flow_.blocks[block].next[visit.edge++];
        if (group_[next] != group_[block]) {
          continue;
        }
        if (index_[next] == none) {
          enter(next);
        } else if (component[next] == none) {
          low_[block] = std::min(low_[block], index_[next]);
        }
        continue;
      }
      path_.pop_back();
      if (!path_.empty()) {
        low_[path_.back().block] = std::min(low_[path_.back().block], low_[block]);
      }
      if (low_[block] == index_[block]) {
        close(block);
      }
    }
  }

  void close(std::uint32_t root) {
    std::uint32_t block = none;
    do {
      block = stack_.back();
      stack_.pop_back();
      component[block] = count;
    } while (block != root);
    ++count;
  }

  const FlowGraph& flow_;
  const std::vector<std::uint32_t>& group_;
  std::vector<std::uint32_t> index_;
  std::vector<std::uint32_t> low_;
  std::vector<std::uint32_t> stack_;
  std::vector<Visit> path_;
  std::uint32_t next_index_ = 0;
};

/// The order of the blocks: topological, with each loop in one piece behind its entry, and that of the text
/// where both leave a choice.
class Order {
 public:
  explicit Order(const FlowGraph& flow)
      : flow_(flow),
        group_(flow.blocks.size(), 0),
        entered_(flow.blocks.size(), false),
        parts_(flow, group_) {}

  std::vector<std::uint32_t> run() {
    find_reachable();
    std::vector<std::uint32_t> all(flow_.blocks.size());
    for (std::uint32_t b = 0; b < all.size(); ++b) {
      all[b] = b;
    }
    sort(all, 0);
    return std::move(order_);
  }

 private:
  void find_reachable() {
    reachable_.assign(flow_.blocks.size(), false);
    std::vector<std::uint32_t> open{0};
    reachable_[0] = true;
    while (!open.empty()) {
      const std::uint32_t block = open.back();
      open.pop_back();
      for (const std::uint32_t next : flow_.blocks[block].next) {
        if (!reachable_[next]) {
          reachable_[next] = true;
          open.push_back(next);
        }
      }
    }
  }

  /// The block where control enters a loop. `members` are in the order of the text.
  [[nodiscard]] std::uint32_t entry_of(const std::vector<std::uint32_t>& members) const {
    const auto found =
        std::find_if(members.begin(), members.end(), [&](std::uint32_t b) { return entered_[b]; });
    return found == members.end() ? members.front() : *found;
  }

  /// Calls `f` for each way from `block` to another component of its group.
  template <class F>
  void for_ways_out(std::uint32_t block, F&& f) {
    for (const std::uint32_t next : flow_.blocks[block].next) {
      if (reachable_[block] && group_[next] == group_[block] &&
          parts_.component[next] != parts_.component[block]) {
        f(next);
      }
    }
  }

  /// Appends `blocks`, which are in the order of the text and make one group.
  void sort(const std::vector<std::uint32_t>& blocks, unsigned depth) {
    if (blocks.size() < 2 || depth == deepest_loop) {
      order_.insert(order_.end(), blocks.begin(), blocks.end());
      return;
    }
    parts_.find(blocks);
    std::vector<std::vector<std::uint32_t>> members(parts_.count);
    for (const std::uint32_t block : blocks) {
      members[parts_.component[block]].push_back(block);
    }
    find_entered(blocks);
    for (const std::uint32_t part : sort_components(members)) {
      append(members[part], depth);
    }
  }

  /// The components in topological order; among those that are free to come next, the first of the text.
  std::vector<std::uint32_t> sort_components(const std::vector<std::vector<std::uint32_t>>& members) {
    std::vector<std::uint32_t> waits_for(members.size(), 0);
    for (const std::vector<std::uint32_t>& blocks : members) {
      for (const std::uint32_t block : blocks) {
        for_ways_out(block, [&](std::uint32_t next) { ++waits_for[parts_.component[next]]; });
      }
    }
    using Ready = std::pair<std::uint32_t, std::uint32_t>;  // first block in the text, component
    std::priority_queue<Ready, std::vector<Ready>, std::greater<>> ready;
    for (std::uint32_t part = 0; part < members.size(); ++part) {
      if (waits_for[part] == 0) {
        ready.emplace(members[part].front(), part);
      }
    }
    std::vector<std::uint32_t> sorted;
    while (!ready.empty()) {
      const std::uint32_t part = ready.top().second;
      ready.pop();
      sorted.push_back(part);
      for (const std::uint32_t block : members[part]) {
        for_ways_out(block, [&](std::uint32_t next) {
          const std::uint32_t other = parts_.component[next];
          if (--waits_for[other] == 0) {
            ready.emplace(members[other].front(), other);
          }
        });
      }
    }
    return sorted;
  }

  /// Notes which of `blocks` are entered from outside their component.
  void find_entered(const std::vector<std::uint32_t>& blocks) {
    for (const std::uint32_t block : blocks) {
      entered_[block] = block == 0;
    }
    for (const std::uint32_t block : blocks) {
      for_ways_out(block, [&](std::uint32_t next) { entered_[next] = true; });
    }
    // The entry of the loop around this group is no part of it, but leads into it.
    if (!order_.empty()) {
      for (const std::uint32_t next : flow_.blocks[order_.back()].next) {
        entered_[next] = true;
      }
    }
  }

  void append(const std::vector<std::uint32_t>& loop, unsigned depth) {
    if (loop.size() == 1) {
      order_.push_back(loop.front());
      return;
    }
    const std::uint32_t entry = entry_of(loop);
    order_.push_back(entry);
    std::vector<std::uint32_t> rest;
    ++groups_;
    for (const std::uint32_t block : loop) {
      if (block != entry) {
        group_[block] = groups_;
        rest.push_back(block);
      }
    }
    group_[entry] = none;
    sort(rest, depth + 1);
  }

  const FlowGraph& flow_;
  std::vector<std::uint32_t> group_;  ///< by block: blocks of the same group are sorted together
  std::uint32_t groups_ = 0;
  std::vector<bool> reachable_;
  std::vector<bool> entered_;  ///< by block: from outside its component
  Components parts_;
  std::vector<std::uint32_t> order_;
};

bool is_guarded(const Op& op) {
  return op.guard != frame_header::true_predicate || op.guard_xor != 0;
}

/// Moves the blocks of `body` to `order`, with a branch where one no longer falls through to its successor.
void move_blocks(FunctionBody& body, const FlowGraph& flow, const std::vector<std::uint32_t>& order,
                 std::uint32_t end_prefix) {
  std::vector<Op> ops;
  std::vector<std::uint32_t> lines;
  std::vector<std::uint32_t> start(flow.blocks.size(), 0);
  std::vector<std::uint32_t> moved(body.ops.size(), 0);
  ops.reserve(body.ops.size() + order.size());
  std::uint32_t prefix = body.ops.front().prefix;
  for (std::size_t at = 0; at < order.size(); ++at) {
    const BasicBlock& block = flow.blocks[order[at]];
    start[order[at]] = static_cast<std::uint32_t>(ops.size());
    for (std::uint32_t i = block.first; i < block.end; ++i) {
      const std::uint32_t after = i + 1 < body.ops.size() ? body.ops[i + 1].prefix : end_prefix;
      moved[i] = static_cast<std::uint32_t>(ops.size());
      ops.push_back(body.ops[i]);
      ops.back().prefix = prefix;
      lines.push_back(body.lines[i]);
      prefix += after - body.ops[i].prefix;
    }
    const std::uint32_t behind = order[at] + 1;
    if (block.falls_through && (at + 1 == order.size() || order[at + 1] != behind)) {
      Op& jump = ops.emplace_back();
      jump.code = Code::bra;
      jump.flags = flag::uncounted;
      jump.imm = flow.blocks[behind].first;
      jump.guard = frame_header::true_predicate;
      jump.prefix = prefix;
      lines.push_back(lines.back());
    }
  }
  for (Op& op : ops) {
    if (op.code == Code::bra) {
      op.imm = start[flow.block_of[static_cast<std::size_t>(op.imm)]];
    }
  }
  for (std::uint32_t& target : body.table_targets) {
    target = start[flow.block_of[target]];
  }
  for (RegisterUse& use : body.uses) {
    use.op = moved[use.op];
  }
  std::stable_sort(body.uses.begin(), body.uses.end(),
                   [](const RegisterUse& a, const RegisterUse& b) { return a.op < b.op; });
  body.ops = std::move(ops);
  body.lines = std::move(lines);
}

}  // namespace

void order_blocks(FunctionBody& body, std::uint32_t end_prefix) {
  std::vector<bool> guarded(body.ops.size());
  std::transform(body.ops.begin(), body.ops.end(), guarded.begin(), is_guarded);
  const FlowGraph flow = find_flow(body, guarded);
  const bool goes_back = std::any_of(flow.blocks.begin(), flow.blocks.end(), [&](const BasicBlock& block) {
    return std::any_of(block.next.begin(), block.next.end(),
                       [&](std::uint32_t next) { return flow.blocks[next].first <= block.first; });
  });
  if (!goes_back) {
    return;
  }
  const std::vector<std::uint32_t> order = Order(flow).run();
  if (!std::is_sorted(order.begin(), order.end())) {
    move_blocks(body, flow, order, end_prefix);
  }
}

}  // namespace kerncast::simulator
