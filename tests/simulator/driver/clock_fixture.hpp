#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "runtime/devices/cost_model.hpp"
#include "runtime/simulator/watch/profile_abi.hpp"
#include "tests/simulator/driver/fixture.hpp"

namespace kerncast::tests {

/// The input of the cost model for a recorded launch: what the clock must have made of the same counts.
inline devices::CostInput input_of(const KerncastSimLaunch& launch, int registers,
                                   std::uint64_t memory_bytes) {
  devices::CostInput input;
  const std::uint32_t threads = launch.block[0] * launch.block[1] * launch.block[2];
  input.blocks = std::uint64_t{launch.grid[0]} * launch.grid[1] * launch.grid[2];
  input.warps_per_block = (threads + 31) / 32;
  input.resources = {threads, registers, std::uint64_t{launch.static_shared} + launch.dynamic_shared};
  input.longest_warp = launch.longest_warp;
  input.longest_warp_requests = launch.longest_warp_requests;
  input.memory_bytes = memory_bytes;
  std::map<std::string, devices::ClassCounts> classes;
  for (std::size_t i = 0; i < launch.instruction_count; ++i) {
    const KerncastSimInstruction& from = launch.instructions[i];
    devices::ClassCounts& sum = classes[from.unit];
    sum.warp_instructions += from.counts.warp_instructions;
    sum.global_requests += from.counts.global_requests;
    sum.global_sectors += from.counts.global_sectors;
    sum.shared_requests += from.counts.shared_requests;
    sum.shared_wavefronts += from.counts.shared_wavefronts;
  }
  for (const auto& [unit, sum] : classes) {
    devices::add_class(input, unit, sum);
  }
  return input;
}

/// Device times on the virtual GPU of a process that has KERNCAST_SIM_CLOCK.
struct ClockFixture : PrimaryFixture {
  static constexpr std::size_t l2_bytes = std::size_t{50} << 20;

  /// Microseconds that the stream takes for what `work` puts on it.
  template <class Work>
  float microseconds(Work&& work) const {
    const Event start(api);
    const Event end(api);
    start.record(stream.get());
    work();
    end.record(stream.get());
    end.synchronize();
    return 1000 * end.milliseconds_since(start);
  }

  /// Empties L2 by a fill that exceeds it.
  void flush() const {
    REQUIRE(api.cuMemsetD32Async(flushed.address(), 0, flushed.size() / 4, stream.get()) == CUDA_SUCCESS);
  }

  /// The estimate of the launch that `work` makes, from its recorded counts.
  template <class Work>
  double estimate(const char* kernel, std::uint64_t memory_bytes, Work&& work) {
    symbol<decltype(kerncastSimProfile)>("kerncastSimProfile")(1);
    work();
    context.synchronize();
    symbol<decltype(kerncastSimProfile)>("kerncastSimProfile")(0);
    const KerncastSimLaunch* launch =
        symbol<decltype(kerncastSimProfileLaunch)>("kerncastSimProfileLaunch")(0);
    REQUIRE(launch != nullptr);
    int registers = 0;
    check(api, api.cuFuncGetAttribute(&registers, CU_FUNC_ATTRIBUTE_NUM_REGS, function(kernel)), kernel);
    return devices::estimate_cost(input_of(*launch, registers, memory_bytes),
                                  *devices::find_device_description("h100"))
        .total_us;
  }

  /// An executable graph of what `work` puts on the stream.
  template <class Work>
  CUgraphExec graph_of(Work&& work) const {
    CUgraph graph = nullptr;
    CUgraphExec executable = nullptr;
    check(api, api.cuStreamBeginCapture(stream.get(), CU_STREAM_CAPTURE_MODE_RELAXED), "beginning a capture");
    work();
    check(api, api.cuStreamEndCapture(stream.get(), &graph), "ending a capture");
    check(api, api.cuGraphInstantiateWithFlags(&executable, graph, 0), "instantiating");
    return executable;
  }

  const StreamHandle stream{api};
  const DeviceBuffer flushed{api, l2_bytes + 4096};
};

}  // namespace kerncast::tests
