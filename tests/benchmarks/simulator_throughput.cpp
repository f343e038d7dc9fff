// Thread-instructions per second and core of the virtual GPU on rms_norm, bf16, hidden 7168. Fails below the
// bound.
#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <ctime>

#include "cache/store.hpp"
#include "runtime/dispatch/kernel_builder.hpp"
#include "runtime/simulator/machine.hpp"
#include "templates/norm/rms_norm_args.h"

namespace {

constexpr double kLeastPerCore = 1e9;

/// Seconds of all cores together that this process has used: other processes on the machine do not count.
double core_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

int main() {
  using namespace kerncast;
  constexpr long long rows = 2048;
  constexpr long long hidden = 7168;
  cache::Store store("", [](std::string_view) {});
  KernelBuilder builder("", "", store);
  const OpDefinition& op = OpRegistry::instance().require("norm.rms_norm");
  Variant variant;
  variant.op = &op;
  variant.spec = specialise(op, {{"hidden", "7168"}});
  variant.tunables = op.default_tunables(variant.spec, DeviceTraits{90, 132, 232448}, rows);
  variant.arch = "sm_90a";
  const auto binary = builder.obtain(variant, BuildPolicy::compile_aside);

  simulator::Memory memory;
  constexpr std::size_t bytes = rows * hidden * 2;
  norm::RmsNormKernelArgs arguments{};
  std::byte* x = memory.allocate(bytes, simulator::MemoryKind::device, 0);
  std::byte* w = memory.allocate(hidden * 2, simulator::MemoryKind::device, 0);
  std::memset(x, 0x3f, bytes);
  std::memset(w, 0x3f, hidden * 2);
  arguments.x = x;
  arguments.weight = w;
  arguments.y = memory.allocate(bytes, simulator::MemoryKind::device, 0);
  arguments.rows = rows;
  arguments.x_stride = hidden;
  arguments.y_stride = hidden;
  arguments.eps = 1e-6F;

  const auto start_decode = std::chrono::steady_clock::now();
  const auto module = simulator::Module::decode(binary->ptx, 90, memory, 0);
  const std::chrono::duration<double, std::milli> decode = std::chrono::steady_clock::now() - start_decode;
  const LaunchGeometry geometry =
      op.geometry(variant.spec, variant.tunables, DeviceTraits{90, 132, 232448}, rows);
  simulator::Launch launch;
  launch.module = module.get();
  launch.kernel = module->find_kernel(binary->lowered_name);
  launch.grid = geometry.grid;
  launch.block = geometry.block;
  launch.dynamic_shared_bytes = geometry.dynamic_shared;
  launch.parameters = std::as_bytes(std::span(&arguments, 1));
  double best = 0;
  double best_per_core = 0;
  for (int i = 0; i < 5; ++i) {
    simulator::LaunchCounts counts;
    const auto start = std::chrono::steady_clock::now();
    const double start_cores = core_seconds();
    const simulator::Fault fault = simulator::execute(launch, memory, &counts);
    const double cores = core_seconds() - start_cores;
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    if (fault.kind != simulator::FaultKind::none) {
      fmt::print(stderr, "{}\n", fault.message);
      return 1;
    }
    best = std::max(best, static_cast<double>(counts.thread_instructions) / time.count());
    best_per_core = std::max(best_per_core, static_cast<double>(counts.thread_instructions) / cores);
  }
  const bool enough = best_per_core >= kLeastPerCore;
  fmt::print(
      "{}: decode {:.2f} ms; {:.2f} billion thread-instructions per second, {:.2f} per second and core (at "
      "least {:.0f}: "
      "{})\n",
      simulator::executor_name(), decode.count(), best / 1e9, best_per_core / 1e9, kLeastPerCore / 1e9,
      enough ? "ok" : "FAILED");
  return enough ? 0 : 1;
}
