#include "runtime/simulator/ptx/module/call_depth.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

namespace kerncast::simulator {

namespace {

/// The deepest recursion that a kernel may reach, in calls.
constexpr std::uint64_t recursion_depth = 256;
/// The longest chain of calls between different functions.
constexpr std::uint32_t call_chain_limit = 1024;
/// Register frames of a warp's deepest call chain: as much as 32 threads could spill to 512 KiB of local
/// memory each.
constexpr std::uint64_t stack_limit = std::uint64_t{1} << 24;
/// Local memory of one thread.
constexpr std::uint64_t chain_local_limit = std::uint64_t{1} << 20;

/// Sums frames and local memory along the deepest call chain from each function. Functions that recur, and
/// their callers, get a fixed depth.
class CallDepth {
 public:
  explicit CallDepth(Program& program)
      : program_(program), state_(program.functions.size(), 0), recursive_(program.functions.size(), false) {}

  void run() {
    for (std::uint32_t i = 0; i < program_.functions.size(); ++i) {
      visit(i, 0);
    }
    for (std::size_t i = 0; i < program_.functions.size(); ++i) {
      if (recursive_[i]) {
        PtxFunction& function = program_.functions[i];
        function.recursive = true;
        function.stack_bytes =
            static_cast<std::uint32_t>(std::min(function.stack_bytes * recursion_depth, stack_limit));
        function.stack_local_bytes = static_cast<std::uint32_t>(
            std::min(function.stack_local_bytes * recursion_depth, chain_local_limit));
      }
    }
  }

 private:
  void visit(std::uint32_t index, std::uint32_t depth) {
    if (state_[index] != 0) {
      recursive_[index] = recursive_[index] || state_[index] == 1;
      return;
    }
    PtxFunction& function = program_.functions[index];
    if (depth == call_chain_limit) {
      refuse(function, fmt::format("is called through a chain of more than {} functions", call_chain_limit));
    }
    state_[index] = 1;
    std::uint64_t deepest = 0;
    std::uint64_t deepest_local = 0;
    for (const std::uint32_t callee : function.callees) {
      visit(callee, depth + 1);
      recursive_[index] = recursive_[index] || recursive_[callee];
      deepest = std::max<std::uint64_t>(deepest, program_.functions[callee].stack_bytes);
      deepest_local = std::max<std::uint64_t>(deepest_local, program_.functions[callee].stack_local_bytes);
    }
    deepest += function.frame_bytes;
    deepest_local += function.local_bytes;
    if (deepest > stack_limit || deepest_local > chain_local_limit) {
      refuse(function,
             fmt::format("needs {} bytes of registers per warp and {} of local memory per thread with all "
                         "it calls; the most are {} and {}",
                         deepest, deepest_local, stack_limit, chain_local_limit));
    }
    function.stack_bytes = static_cast<std::uint32_t>(deepest);
    function.stack_local_bytes = static_cast<std::uint32_t>(deepest_local);
    state_[index] = 2;
  }

  [[noreturn]] void refuse(const PtxFunction& function, const std::string& why) const {
    const int line = function.defined ? static_cast<int>(program_.lines[function.first_op]) : 1;
    throw DecodeError(fmt::format("PTX line {}: function '{}' {}", line, function.name, why), line);
  }

  Program& program_;
  std::vector<std::uint8_t> state_;
  std::vector<bool> recursive_;  ///< reaches itself, or calls what does
};

}  // namespace

void measure_call_depth(Program& program) {
  CallDepth(program).run();
}

}  // namespace kerncast::simulator
