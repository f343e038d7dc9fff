#include "tools/run/launch_probe.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>

#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/driver/context.hpp"
#include "runtime/driver/driver_error.hpp"
#include "tools/io/own_path.hpp"
#include "tools/run/op_run.hpp"

namespace kerncast::tools {
namespace {

constexpr std::uint32_t answer = 0x4b43;
constexpr const char* op_name = "doctor.probe";

struct ProbeArguments {
  std::uint32_t* out;
};

constexpr const char* ptx = R"(.version 7.0
.target sm_75
.address_size 64
.visible .entry probe(.param .u64 out) {
  .reg .b64 %rd<2>;
  .reg .b32 %r<2>;
  ld.param.u64 %rd1, [out];
  mov.u32 %r1, 19267;
  st.global.u32 [%rd1], %r1;
  ret;
}
)";

/// An op that writes one word. `nonce` makes its text, and so its key, one that no cache holds.
OpDefinition probe_op(const std::string& nonce) {
  OpDefinition op;
  op.name = op_name;
  op.include = "doctor/probe.cuh";
  op.kernel = "doctor::probe";
  op.arguments_type = "doctor::Arguments";
  op.sources = {{"doctor/probe.cuh", fmt::format("#pragma once\n// {}\nnamespace doctor {{\n"
                                                 "struct Arguments {{ unsigned int* out; }};\n"
                                                 "template <class Config> __global__ void probe(Arguments a) "
                                                 "{{ *a.out = {}u; }}\n}}\n",
                                                 nonce, answer)}};
  op.tensors = {{"out", Direction::out, false, "[1], i32"}};
  op.default_tunables = [](const Specialisation&, const DeviceTraits&, std::int64_t) { return Tunables{}; };
  op.geometry = [](const Specialisation&, const Tunables&, const DeviceTraits&, std::int64_t) noexcept {
    return LaunchGeometry{};
  };
  op.bind = [](const Bindings& bindings) {
    Call call;
    call.rows = 1;
    call.set_arguments(
        ProbeArguments{static_cast<std::uint32_t*>(bindings.require_tensor(op_name, "out").data)});
    return call;
  };
  return op;
}

/// The value that a launch wrote, compared with what it should have.
std::string compare(const driver::DeviceBuffer& out) {
  std::uint32_t word = 0;
  out.download(&word, sizeof word);
  return word == answer ? std::string() : fmt::format("the kernel wrote {:#x} and not {:#x}", word, answer);
}

std::string launch(Runtime& runtime, const OpDefinition& op) try {
  const RunDevice device(runtime, 0);
  const driver::DeviceBuffer out(device.api(), sizeof answer);
  out.fill(0xCD);
  Bindings bindings;
  bindings.set_tensor("out", TensorView::contiguous(out.data(), DType::i32, {1}));
  runtime.run(op, bindings, nullptr);
  device.synchronize();
  return compare(out);
} catch (const std::exception& error) {
  return error.what();
}

/// The reason why `runtime`, which may not compile, does not find the kernel in the directory; empty if it
/// does.
std::string read_back(Runtime& runtime, const KernelReport& report) {
  cache::Store& store = implementation_of(runtime).cache.store();
  const std::optional<cache::Key> key = cache::Key::from_hex(report.key);
  return key && store.load(*key)
             ? std::string()
             : fmt::format("the entry {} cannot be read back from {}", report.key, store.root());
}

}  // namespace

std::string probe_driver(Runtime& runtime) try {
  const RunDevice device(runtime, 0);
  const driver::DriverApi& api = device.api();
  const driver::DeviceBuffer out(api, sizeof answer);
  out.fill(0xCD);
  driver::CUmodule module = nullptr;
  driver::check(api, api.cuModuleLoadDataEx(&module, ptx, 0, nullptr, nullptr), "loading a kernel from PTX");
  driver::CUfunction function = nullptr;
  driver::check(api, api.cuModuleGetFunction(&function, module, "probe"), "finding the kernel of a module");
  driver::CUdeviceptr address = out.address();
  void* arguments[] = {&address};
  driver::CUlaunchConfig config{};
  config.gridDimX = config.gridDimY = config.gridDimZ = 1;
  config.blockDimX = config.blockDimY = config.blockDimZ = 1;
  driver::check(api, api.cuLaunchKernelEx(&config, function, arguments, nullptr), "launching a kernel");
  device.synchronize();
  std::string defect = compare(out);
  driver::check(api, api.cuModuleUnload(module), "unloading a module");
  return defect;
} catch (const std::exception& error) {
  return error.what();
}

LaunchProbe probe_launch(const RuntimeOptions& given) {
  RuntimeOptions options = given;
  options.miss_policy = MissPolicy::compile;
  options.cache_remote_read_only = true;
  options.compile_workers = {own_path(), 1, 0, 120};
  Runtime first(options);
  const OpDefinition op =
      probe_op(fmt::format("{} {}", ::getpid(), std::chrono::system_clock::now().time_since_epoch().count()));
  LaunchProbe probe;
  KernelReport report;
  try {
    report = first.compile(op, {}, first.arch(0), 1);
    probe.compiled = report.origin == Origin::compiled;
  } catch (const std::exception& error) {
    probe.compile_defect = error.what();
  }
  if (!probe.compiled) {
    probe.launch_defect = probe_driver(first);
    probe.launched = probe.launch_defect.empty();
    return probe;
  }
  cache::Store& store = implementation_of(first).cache.store();
  options.miss_policy = MissPolicy::cache_only;
  options.compile_workers = {};
  Runtime second(options);
  probe.store_defect = store.last_failure();
  if (probe.store_defect.empty()) {
    probe.store_defect = read_back(second, report);
  }
  probe.stored = probe.store_defect.empty();
  probe.launch_defect = launch(probe.stored ? second : first, op);
  probe.launched = probe.launch_defect.empty();
  if (const std::optional<cache::Key> key = cache::Key::from_hex(report.key)) {
    ::unlink(store.path_of(*key).c_str());
  }
  return probe;
}

}  // namespace kerncast::tools
