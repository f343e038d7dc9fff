#include "runtime/simulator/watch/instructions.hpp"

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

namespace kerncast::simulator {
namespace {

/// The functions that a kernel may run: itself and all that it calls.
std::set<std::uint32_t> reachable(const Program& module, std::uint32_t kernel) {
  std::set<std::uint32_t> seen{kernel};
  std::vector<std::uint32_t> open{kernel};
  while (!open.empty()) {
    const std::uint32_t function = open.back();
    open.pop_back();
    for (const std::uint32_t callee : module.functions[function].callees) {
      if (seen.insert(callee).second) {
        open.push_back(callee);
      }
    }
  }
  return seen;
}

}  // namespace

void for_each_instruction(const Program& module, int kernel, const std::function<void(const Op&)>& visit) {
  for (const std::uint32_t index :
       reachable(module, module.kernel_functions[static_cast<std::size_t>(kernel)])) {
    const PtxFunction& function = module.functions[index];
    for (std::uint32_t i = function.first_op; i < function.end_op; ++i) {
      const Op& op = module.ops[i];
      const bool first_of_instruction = i == function.first_op || module.ops[i - 1].prefix != op.prefix ||
                                        (module.ops[i - 1].flags & flag::uncounted) != 0;
      if (first_of_instruction && i + 1 < module.ops.size() && module.ops[i + 1].prefix != op.prefix) {
        visit(op);
      }
    }
  }
}

}  // namespace kerncast::simulator
