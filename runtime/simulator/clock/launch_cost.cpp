#include "runtime/simulator/clock/launch_cost.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string_view>

#include "runtime/devices/tensor_work.hpp"
#include "runtime/devices/warp_cost.hpp"
#include "runtime/simulator/watch/instructions.hpp"

namespace kerncast::simulator {
namespace {

constexpr int most_registers = 255;
constexpr int bytes_per_register = 128;  ///< of a warp

/// The most registers with which a block of `threads` fits on a multiprocessor. Warps are placed four at a
/// time, and get registers in units of eight for each thread.
int registers_that_fit(std::uint32_t threads) {
  const int warps = static_cast<int>((threads + lane_count - 1) / lane_count + 3) / 4 * 4;
  return devices::registers_per_sm / (std::max(warps, 4) * static_cast<int>(lane_count)) / 8 * 8;
}

std::uint32_t threads_bound(const KernelInfo& info) {
  const std::uint32_t required = info.required_block[0] * info.required_block[1] * info.required_block[2];
  return required > 0 ? required : info.max_threads_per_block;
}

}  // namespace

int assigned_registers(const Module& module, int kernel) {
  const Program& program = module.program();
  const auto index = static_cast<std::size_t>(kernel);
  const PtxFunction& function = program.functions[program.kernel_functions[index]];
  const auto places =
      static_cast<int>(function.stack_bytes - std::min(function.stack_bytes, frame_header::size));
  const int registers = std::clamp((places + bytes_per_register - 1) / bytes_per_register, 1, most_registers);
  const std::uint32_t threads = threads_bound(program.kernels[index]);
  return threads > 0 ? std::min(registers, registers_that_fit(threads)) : registers;
}

devices::CostInput cost_input(const Launch& launch, const LaunchProfile& counts) {
  const Program& program = launch.module->program();
  const KernelInfo& info = program.kernels[static_cast<std::size_t>(launch.kernel)];
  const std::uint32_t threads = launch.block[0] * launch.block[1] * launch.block[2];
  devices::CostInput input;
  input.blocks = std::uint64_t{launch.grid[0]} * launch.grid[1] * launch.grid[2];
  input.warps_per_block = (threads + lane_count - 1) / lane_count;
  input.resources = {threads,
                     std::min(assigned_registers(*launch.module, launch.kernel), registers_that_fit(threads)),
                     std::uint64_t{info.static_shared_bytes} + launch.dynamic_shared_bytes};
  input.longest_warp = counts.longest_warp;
  input.longest_warp_requests = counts.longest_warp_requests;
  std::map<std::string_view, devices::ClassCounts> classes;
  for_each_instruction(program, launch.kernel, [&](const Op& op) {
    if (op.prefix >= counts.instructions.size() || counts.instructions[op.prefix].warp_instructions == 0) {
      return;
    }
    const KerncastSimCounts& counted = counts.instructions[op.prefix];
    devices::ClassCounts& sum = classes[unit_of(op)];
    sum.warp_instructions += counted.warp_instructions;
    sum.global_requests += counted.global_requests;
    sum.global_sectors += counted.global_sectors;
    sum.shared_requests += counted.shared_requests;
    sum.shared_wavefronts += counted.shared_wavefronts;
    if (op.code == Code::mma || op.code == Code::wgmma) {
      sum.tensor_fma += devices::tensor_fma(program.line_text(program.line_of(&op))) *
                        static_cast<double>(counted.warp_instructions);
    }
  });
  for (const auto& [unit, sum] : classes) {
    devices::add_class(input, unit, sum);
  }
  return input;
}

}  // namespace kerncast::simulator
