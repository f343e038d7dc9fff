#include "tests/simulator/conformance/form_target.hpp"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>

#include "runtime/driver/context.hpp"
#include "runtime/driver/device.hpp"
#include "runtime/driver/driver_error.hpp"
#include "runtime/simulator/machine/machine.hpp"

namespace kerncast::conformance {

namespace {

std::vector<std::byte> run_in_executor(const std::string& text, int sm, unsigned blocks, unsigned threads,
                                       const std::vector<Argument>& arguments, std::size_t result) {
  simulator::Memory memory;
  std::shared_ptr<simulator::Module> module;
  try {
    module = simulator::Module::decode(text, sm, memory, 0);
  } catch (const std::exception& error) {
    throw Refused(error.what());
  }
  simulator::Launch launch;
  launch.module = module.get();
  launch.kernel = module->find_kernel("k");
  if (launch.kernel < 0) {
    throw Refused("the module has no kernel k");
  }
  const simulator::KernelInfo& info = module->kernels()[static_cast<std::size_t>(launch.kernel)];
  if (!info.refusal.empty()) {
    throw Refused(info.refusal);
  }
  std::vector<std::byte> packed(info.parameter_bytes);
  const std::byte* kept = nullptr;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::vector<std::byte>& bytes = arguments[i].bytes;
    std::byte* const to = packed.data() + info.parameters.at(i).offset;
    if (!arguments[i].buffer) {
      std::memcpy(to, bytes.data(), bytes.size());
      continue;
    }
    std::byte* const at = memory.allocate(bytes.size(), simulator::MemoryKind::device, 0);
    std::memcpy(at, bytes.data(), bytes.size());
    memory.mark_written(at, bytes.size());
    std::memcpy(to, &at, sizeof(at));
    if (i == result) {
      kept = at;
    }
  }
  launch.grid = {blocks, 1, 1};
  launch.block = {threads, 1, 1};
  launch.parameters = packed;
  simulator::LaunchCounts counts;
  const simulator::Fault fault = simulator::execute(launch, memory, &counts);
  if (fault.kind != simulator::FaultKind::none) {
    throw std::runtime_error(fault.message);
  }
  std::vector<std::byte> left(arguments[result].bytes.size());
  std::memcpy(left.data(), kept, left.size());
  return left;
}

const char* chosen_driver() {
  return std::getenv("KERNCAST_CONFORMANCE_DRIVER");  // NOLINT(concurrency-mt-unsafe)
}

struct Device {
  std::shared_ptr<const driver::Driver> driver = driver::load_driver(chosen_driver());
  int sm = driver::query_device(driver->api, 0).sm;
  std::optional<driver::PrimaryContext> context{std::in_place, driver, 0};

  /// After a fault every call fails until the context is gone.
  void renew() {
    context.reset();
    using Reset = driver::CUresult(driver::CUdevice);
    if (auto* reset = reinterpret_cast<Reset*>(driver->symbol("cuDevicePrimaryCtxReset_v2"));
        reset != nullptr) {
      reset(0);
    }
    context.emplace(driver, 0);
  }
};

Device& device() {
  static Device opened;
  return opened;
}

/// A module of the current context, unloaded with the object.
class LoadedModule {
 public:
  LoadedModule(const driver::DriverApi& api, const std::string& text) : api_(&api) {
    std::array<char, 1024> log{};
    std::array<driver::CUjit_option, 2> options{driver::CU_JIT_ERROR_LOG_BUFFER,
                                                driver::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    std::array<void*, 2> values{log.data(), reinterpret_cast<void*>(std::uintptr_t{log.size()})};
    if (api.cuModuleLoadDataEx(&module_, text.c_str(), 2, options.data(), values.data()) !=
        driver::CUDA_SUCCESS) {
      throw Refused(log.data());
    }
  }
  ~LoadedModule() { api_->cuModuleUnload(module_); }
  LoadedModule(const LoadedModule&) = delete;
  LoadedModule& operator=(const LoadedModule&) = delete;

  [[nodiscard]] driver::CUmodule get() const { return module_; }

 private:
  const driver::DriverApi* api_;
  driver::CUmodule module_ = nullptr;
};

std::vector<std::byte> run_on_device(const std::string& text, unsigned blocks, unsigned threads,
                                     const std::vector<Argument>& arguments, std::size_t result) {
  const driver::DriverApi& api = device().driver->api;
  const LoadedModule module(api, text);
  driver::CUfunction function = nullptr;
  driver::check(api, api.cuModuleGetFunction(&function, module.get(), "k"), "finding kernel k");
  std::vector<driver::DeviceBuffer> buffers;
  std::vector<driver::CUdeviceptr> addresses(arguments.size());
  std::vector<void*> parameters;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (!arguments[i].buffer) {
      // The driver reads parameters and takes them as void*.
      parameters.push_back(const_cast<std::byte*>(arguments[i].bytes.data()));
      continue;
    }
    if (i == result) {
      kept = buffers.size();
    }
    buffers.emplace_back(api, arguments[i].bytes.size());
    buffers.back().upload(arguments[i].bytes.data(), arguments[i].bytes.size());
    addresses[i] = buffers.back().address();
    parameters.push_back(&addresses[i]);
  }
  driver::check(
      api, api.cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, 0, nullptr, parameters.data(), nullptr),
      "launching k");
  device().context->synchronize();
  std::vector<std::byte> left(arguments[result].bytes.size());
  buffers[kept].download(left.data(), left.size());
  return left;
}

}  // namespace

bool runs_on_driver() {
  return chosen_driver() != nullptr;
}

int target_sm(int sm) {
  return runs_on_driver() ? device().sm : sm;
}

std::vector<std::byte> run_kernel(const std::string& text, int sm, unsigned blocks, unsigned threads,
                                  const std::vector<Argument>& arguments, std::size_t result) {
  if (!runs_on_driver()) {
    return run_in_executor(text, sm, blocks, threads, arguments, result);
  }
  try {
    return run_on_device(text, blocks, threads, arguments, result);
  } catch (const Refused&) {
    throw;
  } catch (const std::exception&) {
    device().renew();
    throw;
  }
}

}  // namespace kerncast::conformance
