#include "tests/simulator/fuzz/decode_and_run.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/simulator/machine/machine.hpp"
#include "runtime/simulator/watch/profile.hpp"

namespace kerncast::simulator::testing {

namespace {

/// Architecture-specific targets run on their own device only.
constexpr std::array devices{75, 90, 100, 120, 121};
constexpr std::size_t buffer_bytes = 4096;
constexpr std::size_t most_kernels = 8;
constexpr std::uint64_t most_warp_instructions = 20000;

/// Device memory that kernels get pointers into: the first half holds small numbers, the second nobody has
/// written.
std::byte* make_buffer(Memory& memory) {
  std::byte* buffer = memory.allocate(buffer_bytes, MemoryKind::device, 0);
  if (buffer == nullptr) {
    throw std::logic_error("no memory for a buffer of a page");
  }
  for (std::size_t i = 0; i < buffer_bytes / 2; ++i) {
    buffer[i] = static_cast<std::byte>(i % 4 == 0 ? i / 4 % 64 : 0);
  }
  memory.mark_written(buffer, buffer_bytes / 2);
  return buffer;
}

/// Fills parameters of 8 bytes with pointers, and others with small numbers.
std::vector<std::byte> make_parameters(const KernelInfo& kernel, const std::byte* buffer) {
  std::vector<std::byte> packed(kernel.parameter_bytes);
  std::uint32_t number = 40;
  for (const KernelParameter& parameter : kernel.parameters) {
    if (parameter.offset + parameter.size > packed.size()) {
      throw std::logic_error("a parameter lies outside its kernel's parameters");
    }
    for (std::size_t at = 0; at < parameter.size; at += 8) {
      const auto address = reinterpret_cast<std::uintptr_t>(buffer);
      const std::size_t bytes = std::min<std::size_t>(parameter.size - at, 8);
      std::byte* to = packed.data() + parameter.offset + at;
      if (bytes == 8) {
        std::memcpy(to, &address, bytes);
      } else {
        std::memcpy(to, &number, std::min(bytes, sizeof(number)));
      }
    }
    --number;
  }
  return packed;
}

std::shared_ptr<Module> decode(std::string_view ptx, Memory& memory) {
  for (const int sm : devices) {
    try {
      return Module::decode(ptx, sm, memory, 0);
    } catch (const DecodeError& error) {
      if (error.line < 1 || std::string_view(error.what()).empty()) {
        throw std::logic_error("a refusal without a line or a message");
      }
      if (memory.bytes_in_use(0) != 0) {
        throw std::logic_error("a refused module leaves variables behind");
      }
    }
  }
  return nullptr;
}

/// Launches with all checks and counts, or with none.
void run(const Module& module, int kernel, bool watched, Memory& memory) {
  const KernelInfo& info = module.kernels()[static_cast<std::size_t>(kernel)];
  const std::byte* buffer = make_buffer(memory);
  const std::vector<std::byte> parameters = make_parameters(info, buffer);
  Launch launch;
  launch.module = &module;
  launch.kernel = kernel;
  launch.grid = {2, 1, 1};
  launch.block = {40, 1, 1};
  launch.dynamic_shared_bytes = 1024;
  launch.parameters = parameters;
  launch.checks = watched;
  LaunchProfile profile;
  launch.profile = watched ? &profile : nullptr;
  launch.most_warp_instructions = most_warp_instructions;
  LaunchCounts counts;
  const Fault fault = execute(launch, memory, &counts);
  if ((fault.kind == FaultKind::none) != fault.message.empty()) {
    throw std::logic_error("a fault without a message, or a message without a fault");
  }
  memory.release(buffer);
}

}  // namespace

Outcome decode_and_run(std::string_view ptx) {
  Memory memory;
  const std::shared_ptr<Module> module = decode(ptx, memory);
  if (module == nullptr) {
    return Outcome::refused;
  }
  const std::size_t kernels = std::min(module->kernels().size(), most_kernels);
  for (std::size_t i = 0; i < kernels; ++i) {
    run(*module, static_cast<int>(i), true, memory);
    run(*module, static_cast<int>(i), false, memory);
  }
  return kernels == 0 ? Outcome::decoded : Outcome::ran;
}

}  // namespace kerncast::simulator::testing
