// Measures the virtual GPU with rms_norm, bf16, hidden 7168: thread-instructions per second and core with and
// without the strict checks, the speed of two cores against one, memory beyond the allocations, and the time
// to decode the shipped kernels. Fails if a figure misses its bound.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cache/cache.hpp"
#include "runtime/dispatch/kernel_builder.hpp"
#include "runtime/simulator/machine/machine.hpp"
#include "templates/norm/rms_norm/kernel_args.h"

namespace {

using namespace kerncast;

constexpr double kLeastUnchecked = 3e9;
constexpr double kLeastChecked = 1e9;
constexpr double kLeastScaling = 1.8;
constexpr double kMostDecodeMs = 5;
constexpr double kMostExtraMib = 64;
constexpr long long kRows = 2048;
constexpr long long kHidden = 7168;

bool all_good = true;

const char* verdict(bool good) {
  all_good = all_good && good;
  return good ? "pass" : "FAIL";
}

/// Processor time of this process on all cores, in seconds.
double core_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// A value of /proc/self/status in MiB; negative if there is no such value.
double status_mib(std::string_view name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name)) {
      return std::strtod(line.c_str() + name.size() + 1, nullptr) / 1024;
    }
  }
  return -1;
}

/// A kernel of one specialisation, compiled for sm_90a.
struct Built {
  Variant variant;
  std::shared_ptr<const KernelBinary> binary;
};

Built build(KernelBuilder& builder, const char* name,
            const std::vector<std::pair<std::string, std::string>>& settings) {
  Built built;
  built.variant.op = &OpRegistry::instance().require(name);
  built.variant.spec = specialise(*built.variant.op, settings);
  built.variant.tunables =
      built.variant.op->default_tunables(built.variant.spec, DeviceTraits{90, 132, 232448}, kRows);
  built.variant.arch = "sm_90a";
  built.binary = builder.load_or_compile(built.variant, BuildPolicy::compile_uncached);
  return built;
}

struct Rate {
  double per_second = 0;
  double per_core = 0;
};

/// The highest rate of several launches.
Rate measure(simulator::Launch launch, simulator::Memory& memory, bool checks, int runs) {
  launch.checks = checks;
  Rate best;
  for (int i = 0; i < runs; ++i) {
    simulator::LaunchCounts counts;
    const auto start = std::chrono::steady_clock::now();
    const double start_cores = core_seconds();
    const simulator::Fault fault = simulator::execute(launch, memory, &counts);
    const double cores = core_seconds() - start_cores;
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    if (fault.kind != simulator::FaultKind::none) {
      fmt::print(stderr, "{}\n", fault.message);
      std::exit(1);
    }
    const auto instructions = static_cast<double>(counts.thread_instructions);
    best.per_second = std::max(best.per_second, instructions / time.count());
    best.per_core = std::max(best.per_core, instructions / cores);
  }
  return best;
}

/// The rate on one host thread. It comes from a process of its own, since a process starts its threads only
/// once.
double rate_on_one_thread(const char* program) {
  const std::string command = fmt::format("KERNCAST_SIM_THREADS=1 '{}' rate", program);
  std::FILE* pipe = popen(command.c_str(), "r");
  double rate = 0;
  if (pipe != nullptr) {
    if (std::fscanf(pipe, "%lf", &rate) != 1) {
      rate = 0;
    }
    pclose(pipe);
  }
  return rate;
}

}  // namespace

int main(int argc, char** argv) {
  cache::CacheOptions nowhere;
  cache::Cache cache(nowhere, [](std::string_view) {});
  KernelBuilder builder("", "", cache);
  const Built norm = build(builder, "norm.rms_norm", {{"hidden", "7168"}});

  simulator::Memory memory;
  constexpr std::size_t bytes = kRows * kHidden * 2;
  norm::RmsNormKernelArgs arguments{};
  std::byte* x = memory.allocate(bytes, simulator::MemoryKind::device, 0);
  std::byte* w = memory.allocate(kHidden * 2, simulator::MemoryKind::device, 0);
  std::byte* y = memory.allocate(bytes, simulator::MemoryKind::device, 0);
  std::memset(x, 0x3f, bytes);
  std::memset(w, 0x3f, kHidden * 2);
  std::memset(y, 0, bytes);
  memory.mark_written(x, bytes);
  memory.mark_written(w, kHidden * 2);
  arguments.x = x;
  arguments.weight = w;
  arguments.y = y;
  arguments.rows = kRows;
  arguments.x_stride = kHidden;
  arguments.y_stride = kHidden;
  arguments.eps = 1e-6F;

  const auto module = simulator::Module::decode(norm.binary->ptx, 90, memory, 0);
  const LaunchGeometry geometry = norm.variant.op->geometry(norm.variant.spec, norm.variant.tunables,
                                                            DeviceTraits{90, 132, 232448}, kRows);
  simulator::Launch launch;
  launch.module = module.get();
  launch.kernel = module->find_kernel(norm.binary->lowered_names.at(0));
  launch.grid = geometry.grid;
  launch.block = geometry.block;
  launch.dynamic_shared_bytes = geometry.dynamic_shared;
  launch.parameters = std::as_bytes(std::span(&arguments, 1));
  if (argc > 1 && std::string_view(argv[1]) == "rate") {
    fmt::print("{}\n", measure(launch, memory, false, 9).per_second);
    return 0;
  }

  fmt::print("{}, rms_norm bf16 [{}, {}], {} host threads\n", simulator::executor_name(), kRows, kHidden,
             std::thread::hardware_concurrency());
  const double resident = status_mib("VmRSS:");
  // The launch with checks comes first: only the first launch writes memory that was never written.
  const Rate checked = measure(launch, memory, true, 5);
  const Rate unchecked = measure(launch, memory, false, 9);
  const double extra = status_mib("VmRSS:") - resident;
  const auto print_rate = [](const char* what, const Rate& rate, double least) {
    fmt::print("{:<15} {:6.2f} billion thread-instructions per second, {:5.2f} per core  bound {:.0f}  {}\n",
               what, rate.per_second / 1e9, rate.per_core / 1e9, least / 1e9,
               verdict(rate.per_core >= least));
  };
  print_rate("checks off", unchecked, kLeastUnchecked);
  print_rate("checks on", checked, kLeastChecked);
  if (std::thread::hardware_concurrency() == 2) {
    const double single = rate_on_one_thread(argv[0]);
    const double scaling = single > 0 ? unchecked.per_second / single : 0;
    fmt::print("two cores       {:6.2f} times one  bound {:.1f}  {}\n", scaling, kLeastScaling,
               verdict(scaling >= kLeastScaling));
  }
  fmt::print("memory          {:6.1f} MiB resident beyond the allocations  bound {:.0f}  {}\n", extra,
             kMostExtraMib, verdict(extra <= kMostExtraMib));
  struct Shipped {
    const char* op;
    std::vector<std::pair<std::string, std::string>> settings;
  };
  const Shipped shipped[] = {
      {"norm.rms_norm", {{"hidden", "7168"}}},
      {"quant.per_token_group", {{"hidden", "7168"}}},
      {"moe.fused_gate", {{"experts", "256"}, {"groups", "8"}, {"topk_group", "4"}, {"top_k", "8"}}},
      {"moe.fused_gate", {{"experts", "1000"}, {"groups", "50"}, {"topk_group", "7"}, {"top_k", "8"}}}};
  for (const Shipped& kernel : shipped) {
    const Built built = build(builder, kernel.op, kernel.settings);
    double best = 1e9;
    for (int i = 0; i < 9; ++i) {
      const auto start = std::chrono::steady_clock::now();
      static_cast<void>(simulator::Module::decode(built.binary->ptx, 90, memory, 0));
      best = std::min(
          best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    }
    fmt::print("decode          {:6.2f} ms  {} [{}], {} bytes of PTX  bound {:.0f}  {}\n", best, kernel.op,
               format_specialisation(*built.variant.op, built.variant.spec), built.binary->ptx.size(),
               kMostDecodeMs, verdict(best <= kMostDecodeMs));
  }
  return all_good ? 0 : 1;
}
