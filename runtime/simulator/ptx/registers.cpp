#include "runtime/simulator/ptx/registers.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <queue>
#include <utility>

#include "runtime/simulator/ptx/module/flow.hpp"

namespace kerncast::simulator {

void FunctionBody::clear() {
  ops.clear();
  lines.clear();
  uses.clear();
  register_bytes.clear();
  table_targets.clear();
}

namespace {

constexpr std::uint8_t guard_field = 5;
constexpr std::uint32_t no_register = std::numeric_limits<std::uint32_t>::max();
/// Above this many words of live sets, or this much work on them, every register gets a place of its own.
constexpr std::size_t set_limit = std::size_t{1} << 22;
constexpr std::size_t set_work = std::size_t{1} << 28;

std::uint32_t* field_of(Op& op, std::uint8_t field) {
  switch (field) {
    case 0:
      return &op.d;
    case 1:
      return &op.a;
    case 2:
      return &op.b;
    case 3:
      return &op.c;
    case 4:
      return &op.d2;
    default:
      return &op.guard;
  }
}

class Allocator {
 public:
  Allocator(FunctionBody& body, std::vector<std::uint32_t>& lists) : body_(body), lists_(lists) {}

  std::uint32_t run() {
    find_guards();
    find_blocks();
    words_ = std::max<std::size_t>((body_.register_bytes.size() + 63) / 64, 1);
    tracked_ = blocks_.size() * words_ <= set_limit;
    if (tracked_) {
      find_liveness();
      if (tracked_ && drop_moves()) {
        find_liveness();
      }
    }
    find_intervals();
    const std::uint32_t frame = place();
    patch();
    compact();
    return frame;
  }

 private:
  void find_guards() {
    guarded_.assign(body_.ops.size(), false);
    first_use_.assign(body_.ops.size() + 1, 0);
    for (const RegisterUse& use : body_.uses) {
      guarded_[use.op] = guarded_[use.op] || use.field == guard_field;
      ++first_use_[use.op + 1];
    }
    for (std::size_t i = 1; i < first_use_.size(); ++i) {
      first_use_[i] += first_use_[i - 1];
    }
  }

  void find_blocks() {
    FlowGraph flow = find_flow(body_, guarded_);
    blocks_ = std::move(flow.blocks);
    leader_ = std::move(flow.leader);
  }

  template <class F>
  void for_uses(std::uint32_t op, F&& f) {
    for (std::uint32_t i = first_use_[op]; i < first_use_[op + 1]; ++i) {
      f(body_.uses[i]);
    }
  }

  void find_liveness() {
    const std::size_t blocks = blocks_.size();
    std::vector<std::uint64_t> gen(blocks * words_);
    std::vector<std::uint64_t> kill(blocks * words_);
    in_.assign(blocks * words_, 0);
    out_.assign(blocks * words_, 0);
    for (std::size_t b = 0; b < blocks; ++b) {
      std::uint64_t* const uses = &gen[b * words_];
      std::uint64_t* const defs = &kill[b * words_];
      for (std::uint32_t i = blocks_[b].first; i < blocks_[b].end; ++i) {
        // A guarded write keeps the old value where the guard does not hold, so it reads it too.
        for_uses(i, [&](const RegisterUse& use) {
          if (use.reg != no_register && (!use.defines || guarded_[i]) &&
              (defs[use.reg / 64] >> (use.reg % 64) & 1) == 0) {
            uses[use.reg / 64] |= std::uint64_t{1} << (use.reg % 64);
          }
        });
        for_uses(i, [&](const RegisterUse& use) {
          if (use.reg != no_register && use.defines) {
            defs[use.reg / 64] |= std::uint64_t{1} << (use.reg % 64);
          }
        });
      }
    }
    std::size_t work = 0;
    for (bool changed = true; changed;) {
      changed = false;
      if (work > set_work) {
        tracked_ = false;
        return;
      }
      for (std::size_t b = blocks; b-- > 0;) {
        std::uint64_t* const out = &out_[b * words_];
        std::uint64_t* const in = &in_[b * words_];
        work += (blocks_[b].next.size() + 1) * words_;
        for (const std::uint32_t next : blocks_[b].next) {
          for (std::size_t w = 0; w < words_; ++w) {
            out[w] |= in_[next * words_ + w];
          }
        }
        for (std::size_t w = 0; w < words_; ++w) {
          const std::uint64_t fresh = gen[b * words_ + w] | (out[w] & ~kill[b * words_ + w]);
          changed = changed || fresh != in[w];
          in[w] = fresh;
        }
      }
    }
  }

  [[nodiscard]] bool live_at_entry(std::uint32_t reg) const { return (in_[reg / 64] >> (reg % 64) & 1) != 0; }

  /// If both registers of a move are written once, before any use, the copy is just another name.
  bool drop_moves() {
    dropped_.assign(body_.ops.size(), false);
    std::vector<std::uint32_t> writes(body_.register_bytes.size(), 0);
    for (const RegisterUse& use : body_.uses) {
      writes[use.reg] += use.defines ? 1 : 0;
    }
    std::vector<std::uint32_t> same_as(body_.register_bytes.size(), no_register);
    const auto original = [&](std::uint32_t reg) {
      while (same_as[reg] != no_register) {
        const std::uint32_t next = same_as[reg];
        if (same_as[next] != no_register) {
          same_as[reg] = same_as[next];
        }
        reg = next;
      }
      return reg;
    };
    std::vector<std::uint32_t> constant(body_.register_bytes.size(), 0);
    bool any = false;
    for (std::uint32_t i = 0; i < body_.ops.size(); ++i) {
      const Op& op = body_.ops[i];
      if (op.code != Code::mov || guarded_[i]) {
        continue;
      }
      std::uint32_t to = no_register;
      std::uint32_t from = no_register;
      for_uses(i, [&](const RegisterUse& use) { (use.defines ? to : from) = use.reg; });
      if (writes[to] != 1 || live_at_entry(to)) {
        continue;
      }
      if (from == no_register) {
        constant[to] = op.a;
      } else {
        if (writes[from] != 1 || live_at_entry(from)) {
          continue;
        }
        // Moves in code that nothing reaches may go round in circles.
        if (original(from) == to) {
          continue;
        }
        same_as[to] = from;
      }
      dropped_[i] = true;
      any = true;
    }
    if (!any) {
      return false;
    }
    for (std::uint32_t i = 0; i < body_.ops.size(); ++i) {
      for (std::uint32_t u = first_use_[i]; u < first_use_[i + 1]; ++u) {
        RegisterUse& use = body_.uses[u];
        if (dropped_[i]) {
          use.reg = no_register;
          continue;
        }
        if (use.defines) {
          continue;
        }
        use.reg = original(use.reg);
        if (constant[use.reg] != 0) {
          (use.in_list ? lists_[use.list] : *field_of(body_.ops[i], use.field)) = constant[use.reg];
          use.reg = no_register;
        }
      }
      if (dropped_[i]) {
        body_.ops[i].code = Code::nop;
        // A jump to the move must still count it.
        dropped_[i] = !leader_[i];
      }
    }
    return true;
  }

  void find_intervals() {
    const std::size_t count = body_.register_bytes.size();
    start_.assign(count, no_register);
    stop_.assign(count, 0);
    const auto extend = [&](std::uint32_t reg, std::uint32_t at) {
      start_[reg] = std::min(start_[reg], at);
      stop_[reg] = std::max(stop_[reg], at);
    };
    for (const RegisterUse& use : body_.uses) {
      if (use.reg != no_register) {
        extend(use.reg, use.op);
      }
    }
    if (!tracked_) {
      for (std::size_t r = 0; r < count; ++r) {
        stop_[r] = static_cast<std::uint32_t>(body_.ops.size());
      }
      return;
    }
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      for (std::size_t w = 0; w < words_; ++w) {
        for (std::uint64_t bits = in_[b * words_ + w]; bits != 0; bits &= bits - 1) {
          extend(static_cast<std::uint32_t>(w * 64 + static_cast<unsigned>(std::countr_zero(bits))),
                 blocks_[b].first);
        }
        for (std::uint64_t bits = out_[b * words_ + w]; bits != 0; bits &= bits - 1) {
          extend(static_cast<std::uint32_t>(w * 64 + static_cast<unsigned>(std::countr_zero(bits))),
                 blocks_[b].end);
        }
      }
    }
  }

  static unsigned class_of(std::uint8_t bytes) {
    return bytes == 0 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3;
  }

  std::uint32_t place() {
    std::vector<std::uint32_t> order;
    for (std::uint32_t r = 0; r < start_.size(); ++r) {
      if (start_[r] != no_register) {
        order.push_back(r);
      }
    }
    std::sort(order.begin(), order.end(), [&](std::uint32_t x, std::uint32_t y) {
      return std::pair(start_[x], x) < std::pair(start_[y], y);
    });
    using Ending = std::pair<std::uint32_t, std::uint32_t>;
    std::priority_queue<Ending, std::vector<Ending>, std::greater<>> active;
    std::vector<std::uint32_t> free[4];
    std::uint32_t used[4] = {0, 0, 0, 0};
    place_.assign(start_.size(), 0);
    for (const std::uint32_t reg : order) {
      // A place is free again only after the last reader, since some ops write before they have read all
      // lanes.
      while (!active.empty() && active.top().first < start_[reg]) {
        const std::uint32_t gone = active.top().second;
        free[class_of(body_.register_bytes[gone])].push_back(place_[gone]);
        active.pop();
      }
      const unsigned kind = class_of(body_.register_bytes[reg]);
      if (free[kind].empty()) {
        place_[reg] = used[kind]++;
      } else {
        place_[reg] = free[kind].back();
        free[kind].pop_back();
      }
      active.emplace(stop_[reg], reg);
    }
    std::uint32_t top = frame_header::size;
    static constexpr std::uint32_t class_bytes[4] = {4, 64, 128, 256};
    std::uint32_t base[4];
    for (unsigned kind = 4; kind-- > 0;) {
      base[kind] = top;
      top += used[kind] * class_bytes[kind];
    }
    for (const std::uint32_t reg : order) {
      const unsigned kind = class_of(body_.register_bytes[reg]);
      place_[reg] = base[kind] + place_[reg] * class_bytes[kind];
    }
    return (top + 63) / 64 * 64;
  }

  void patch() {
    std::erase_if(body_.uses, [](const RegisterUse& use) { return use.reg == no_register; });
    for (RegisterUse& use : body_.uses) {
      use.place = place_[use.reg];
      use.bytes = body_.register_bytes[use.reg];
      (use.in_list ? lists_[use.list] : *field_of(body_.ops[use.op], use.field)) = use.place;
    }
  }

  void compact() {
    if (dropped_.empty()) {
      return;
    }
    std::vector<std::uint32_t> moved(body_.ops.size() + 1);
    std::uint32_t out = 0;
    for (std::size_t i = 0; i < body_.ops.size(); ++i) {
      moved[i] = out;
      if (!dropped_[i]) {
        body_.ops[out] = body_.ops[i];
        body_.lines[out] = body_.lines[i];
        ++out;
      }
    }
    moved[body_.ops.size()] = out;
    body_.ops.resize(out);
    body_.lines.resize(out);
    for (Op& op : body_.ops) {
      if (op.code == Code::bra) {
        op.imm = moved[static_cast<std::size_t>(op.imm)];
      }
    }
    for (std::uint32_t& target : body_.table_targets) {
      target = moved[target];
    }
    for (RegisterUse& use : body_.uses) {
      use.op = moved[use.op];
    }
  }

  FunctionBody& body_;
  std::vector<std::uint32_t>& lists_;
  std::vector<bool> guarded_;
  std::vector<bool> leader_;
  std::vector<bool> dropped_;
  std::vector<std::uint32_t> first_use_;
  std::vector<BasicBlock> blocks_;
  std::size_t words_ = 0;
  bool tracked_ = true;
  std::vector<std::uint64_t> in_;
  std::vector<std::uint64_t> out_;
  std::vector<std::uint32_t> start_;
  std::vector<std::uint32_t> stop_;
  std::vector<std::uint32_t> place_;
};

}  // namespace

std::uint32_t assign_registers(FunctionBody& body, std::vector<std::uint32_t>& lists) {
  return Allocator(body, lists).run();
}

}  // namespace kerncast::simulator
