#include "runtime/simulator/ptx/matrix_lifetimes.hpp"

#include <algorithm>

namespace kerncast::simulator {

void keep_until_waits(FunctionBody& body, std::vector<std::uint32_t>& lists) {
  std::vector<std::uint32_t> registers;
  for (const RegisterUse& use : body.uses) {
    if (use.in_list && body.ops[use.op].code == Code::wgmma) {
      registers.push_back(use.reg);
    }
  }
  if (registers.empty()) {
    return;
  }
  std::sort(registers.begin(), registers.end());
  registers.erase(std::unique(registers.begin(), registers.end()), registers.end());
  for (std::uint32_t i = 0; i < body.ops.size(); ++i) {
    if (body.ops[i].code != Code::wgmma_wait) {
      continue;
    }
    for (const std::uint32_t reg : registers) {
      RegisterUse use;
      use.op = i;
      use.reg = reg;
      use.list = static_cast<std::uint32_t>(lists.size());
      use.in_list = true;
      lists.push_back(0);
      body.uses.push_back(use);
    }
  }
  std::stable_sort(body.uses.begin(), body.uses.end(),
                   [](const RegisterUse& x, const RegisterUse& y) { return x.op < y.op; });
}

}  // namespace kerncast::simulator
