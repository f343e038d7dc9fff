// Measures the first launch of a process whose kernel is in the cache, beside the driver's own load of that
// kernel. Each time is taken in a process of its own, since a driver is quicker the second time. Fails if the
// launch misses its bound.
#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <kerncast/ops/norm/rms_norm.hpp>
#include "kerncast/device_buffer.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/dispatch/device_state.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tests/benchmarks/median.hpp"
#include "tests/temporary_directory.hpp"

namespace {

using namespace kerncast;

constexpr double bound_ms = 5;
constexpr int runs = 15;
constexpr std::int64_t rows = 16;
constexpr std::int64_t hidden = 7168;

double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

/// The time of the first launch in this process, from the call until it returns.
double launch_ms(Runtime& runtime, const norm::RmsNorm& arguments) {
  const auto start = std::chrono::steady_clock::now();
  launch(runtime, arguments, nullptr);
  return ms_since(start);
}

/// The time in which the driver makes a function of the same code, which has been read from the cache before.
double load_ms(Runtime& runtime, const norm::RmsNorm& arguments) {
  const std::optional<KernelReport> report =
      runtime.find(definition_of<norm::RmsNorm>(), bind(arguments).spec, runtime.arch(0), rows);
  if (!report) {
    throw std::runtime_error("the kernel is not in the cache");
  }
  const DeviceState& device = implementation_of(runtime).device(0);
  const auto start = std::chrono::steady_clock::now();
  device.try_load(report->cubin, report->ptx, {report->lowered_name}, "the kernel");
  return ms_since(start);
}

/// Takes one time in this process and prints it.
int measure_here(std::string_view what, const std::string& cache) {
  RuntimeOptions options;
  options.cache_directory = cache;
  Runtime runtime(options);
  runtime.make_current(0);
  const DeviceBuffer x(runtime, rows * hidden * 2);
  const DeviceBuffer w(runtime, hidden * 2);
  const DeviceBuffer y(runtime, rows * hidden * 2);
  const norm::RmsNorm arguments{.x = x.tensor(DType::bf16, {rows, hidden}),
                                .weight = w.tensor(DType::bf16, {hidden}),
                                .y = y.tensor(DType::bf16, {rows, hidden})};
  fmt::print("{}\n", what == "launch" ? launch_ms(runtime, arguments) : load_ms(runtime, arguments));
  return 0;
}

/// Takes one time in a new process, which has these settings in its environment. Throws std::runtime_error if
/// that process fails.
double measure_anew(const std::string& program, const char* what, const std::string& cache,
                    const char* settings = "") {
  FILE* const output = popen(fmt::format("{} '{}' {} '{}'", settings, program, what, cache).c_str(), "r");
  double time = 0;
  const bool read = output != nullptr && fscanf(output, "%lf", &time) == 1;
  if (output == nullptr || pclose(output) != 0 || !read) {
    throw std::runtime_error(fmt::format("the process that measures the {} failed", what));
  }
  return time;
}

/// Prints the median of `times` beside the bound. True if it is kept.
bool print_bounded(const char* what, std::vector<double> times) {
  const double time = bench::median(std::move(times));
  const bool good = time <= bound_ms;
  fmt::print("{:<29} {:7.2f} ms  bound {} ms  {}\n", what, time, bound_ms, good ? "pass" : "FAIL");
  return good;
}

}  // namespace

int main(int count, char** arguments) try {
  if (count == 3) {
    return measure_here(arguments[1], arguments[2]);
  }
  const TemporaryDirectory cache;
  measure_anew(arguments[0], "launch", cache.path());  // compiles
  std::vector<double> without_compiler;
  std::vector<double> with_compiler;
  std::vector<double> loading_compiler;
  std::vector<double> loads;
  for (int run = 0; run < runs; ++run) {
    without_compiler.push_back(measure_anew(arguments[0], "launch", cache.path(), "KERNCAST_NVRTC=none"));
    with_compiler.push_back(measure_anew(arguments[0], "launch", cache.path()));
    // Without the record of the compiler the version is that of the loaded library.
    std::filesystem::remove_all(cache.path() + "/nvrtc");
    loading_compiler.push_back(measure_anew(arguments[0], "launch", cache.path()));
    loads.push_back(measure_anew(arguments[0], "load", cache.path()));
  }
  fmt::print("norm.rms_norm bf16 [{}, {}], kernel in the cache, medians of {} processes\n", rows, hidden,
             runs);
  const bool good_without = print_bounded("first launch without NVRTC", std::move(without_compiler));
  const bool good_with = print_bounded("first launch, NVRTC installed", std::move(with_compiler));
  fmt::print("first launch that loads NVRTC {:7.2f} ms\n", bench::median(std::move(loading_compiler)));
  fmt::print("the driver's own load of it   {:7.2f} ms\n", bench::median(std::move(loads)));
  return good_without && good_with ? 0 : 1;
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
