// Measures every op's kernels on a real device, in a graph of back-to-back launches. For each variant that
// the shipped models ask for it prints the microseconds of a call and the bandwidth, for which every byte of
// a tensor counts once.
//   bench_kernel_times [OP... | ROWS...]      (default: all ops, 1 64 4096; OP may be the start of a name)
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "kerncast/runtime.hpp"
#include "runtime/driver/context.hpp"
#include "runtime/driver/driver_error.hpp"
#include "tests/templates/catalogue/catalogue.hpp"
#include "tools/run/op_run.hpp"

namespace {

using namespace kerncast;

constexpr int launches = 20;
constexpr int replays = 5;

/// Time of one call on the device, in microseconds.
double call_time(Runtime& runtime, const tools::RunDevice& device, const OpDefinition& op, const Call& call) {
  const driver::DriverApi& api = device.api();
  const driver::StreamHandle stream(api);
  driver::check(api, api.cuStreamBeginCapture(stream.get(), driver::CU_STREAM_CAPTURE_MODE_RELAXED),
                "capturing");
  for (int i = 0; i < launches; ++i) {
    runtime.dispatch(op, call, stream.get());
  }
  driver::CUgraph graph = nullptr;
  driver::check(api, api.cuStreamEndCapture(stream.get(), &graph), "capturing");
  driver::CUgraphExec executable = nullptr;
  driver::check(api, api.cuGraphInstantiateWithFlags(&executable, graph, 0), "instantiating the graph");
  const driver::Event start(api);
  const driver::Event end(api);
  driver::check(api, api.cuGraphLaunch(executable, stream.get()), "launching the graph");
  start.record(stream.get());
  for (int i = 0; i < replays; ++i) {
    driver::check(api, api.cuGraphLaunch(executable, stream.get()), "launching the graph");
  }
  end.record(stream.get());
  end.synchronize();
  const double time = end.milliseconds_since(start) * 1e3 / (launches * replays);
  api.cuGraphExecDestroy(executable);
  api.cuGraphDestroy(graph);
  return time;
}

double bytes_of(const std::vector<HostTensor>& tensors) {
  double bytes = 0;
  for (const HostTensor& tensor : tensors) {
    bytes += static_cast<double>(tools::element_count(tensor.shape) * size_of(tensor.dtype));
  }
  return bytes;
}

void measure(Runtime& runtime, tools::RunDevice& device, const tools::Workload& workload, std::int64_t rows) {
  tools::OpRunRequest request;
  request.op = workload.op;
  request.params = workload.params;
  request.scalars = workload.scalars;
  request.inputs = tools::synthetic_inputs(*workload.op, workload.params, workload.scalars, rows);
  request.check = false;
  request.timed_dispatches = 0;
  double time = 0;
  request.launch = [&](const Call& call) {
    KernelReport report = runtime.ensure(*workload.op, call);
    time = call_time(runtime, device, *workload.op, call);
    return report;
  };
  const tools::OpRunResult result = tools::run_op(runtime, device, request);
  double bytes = bytes_of(request.inputs);
  for (const auto& output : result.outputs) {
    bytes += static_cast<double>(output.bytes.size());
  }
  fmt::print("{:<36} {:>6} {:>10.2f} us {:>8.0f} GB/s  {}\n", workload.op->name, rows, time,
             bytes / time * 1e-3, result.report.spec);
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** arguments) try {
  std::vector<std::int64_t> sizes;
  std::vector<std::string> names;
  for (int i = 1; i < count; ++i) {
    char* end = nullptr;
    const std::int64_t rows = std::strtoll(arguments[i], &end, 10);
    if (*end == '\0') {
      sizes.push_back(rows);
    } else {
      names.emplace_back(arguments[i]);
    }
  }
  if (sizes.empty()) {
    sizes = {1, 64, 4096};
  }
  Runtime runtime;
  tools::RunDevice device(runtime, 0);
  fmt::print("{}, {} launches in a graph, {} replays\n", device.name(), launches, replays);
  int failed = 0;
  for (const tools::Workload& workload : test::catalogue_variants()) {
    const bool wanted =
        names.empty() || std::any_of(names.begin(), names.end(), [&](const std::string& name) {
          return workload.op->name.starts_with(name);
        });
    for (const std::int64_t rows : wanted ? sizes : std::vector<std::int64_t>()) {
      try {
        measure(runtime, device, workload, rows);
      } catch (const std::exception& error) {
        fmt::print("{:<36} {:>6} failed: {}\n", workload.op->name, rows, error.what());
        ++failed;
      }
    }
  }
  return failed == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
