#include "runtime/dispatch/device_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "runtime/dispatch/kernel_builder.hpp"
#include "runtime/driver/device.hpp"
#include "runtime/driver/driver_error.hpp"

namespace kerncast {
namespace {

using driver::check;

/// Lets launches of `function` ask for as much dynamic shared memory as a block can have; without this the
/// limit is 48 KiB.
void allow_all_shared_memory(const driver::DriverApi& api, driver::CUfunction function, int most,
                             const std::string& what) {
  int fixed = 0;
  check(api, api.cuFuncGetAttribute(&fixed, driver::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function),
        fmt::format("asking for the shared memory of {}", what));
  check(api,
        api.cuFuncSetAttribute(function, driver::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                               std::max(most - fixed, 0)),
        fmt::format("raising the shared memory limit of {}", what));
}

}  // namespace

DeviceState::DeviceState(std::shared_ptr<const driver::Driver> driver, int ordinal)
    : driver_(std::move(driver)), ordinal_(ordinal) {
  const driver::DriverApi& api = driver_->api;
  const driver::DeviceInfo info = driver::query_device(api, ordinal);
  traits_.sm = info.sm;
  traits_.sm_count = info.sm_count;
  traits_.max_shared_per_block = info.max_shared_per_block_optin;
  arch_ = info.arch;
  name_ = info.name;
  check(api, api.cuDeviceGet(&device_, ordinal), fmt::format("opening device {}", ordinal));
  check(api, api.cuDevicePrimaryCtxRetain(&context_, device_),
        fmt::format("retaining the context of device {}", ordinal));
}

// The context is not released and nothing is unloaded, since a host that also owns the context may have reset
// the driver by the time statics are destroyed.
DeviceState::~DeviceState() = default;

void DeviceState::make_current() const {
  check(driver_->api, driver_->api.cuCtxSetCurrent(context_),
        fmt::format("making device {} current", ordinal_));
}

driver::CUlibrary DeviceState::open_library(const std::string& cubin, const std::string& ptx,
                                            const std::string& what) const {
  const driver::DriverApi& api = driver_->api;
  driver::CUlibrary library = nullptr;
  // The driver refuses a cubin of another architecture, and the virtual GPU refuses every cubin. PTX serves
  // both.
  driver::CUresult result = driver::CUDA_ERROR_NO_BINARY_FOR_GPU;
  if (!cubin.empty()) {
    result = api.cuLibraryLoadData(&library, cubin.data(), nullptr, nullptr, 0, nullptr, nullptr, 0);
  }
  if (result != driver::CUDA_SUCCESS && !ptx.empty()) {
    result = api.cuLibraryLoadData(&library, ptx.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0);
  }
  check(api, result, fmt::format("loading {}", what));
  return library;
}

driver::CUfunction DeviceState::find_function(driver::CUlibrary library, const std::string& kernel,
                                              const std::string& what) const {
  const driver::DriverApi& api = driver_->api;
  driver::CUkernel found = nullptr;
  check(api, api.cuLibraryGetKernel(&found, library, kernel.c_str()),
        fmt::format("finding kernel {} of {}", kernel, what));
  driver::CUfunction function = nullptr;
  check(api, api.cuKernelGetFunction(&function, found),
        fmt::format("loading {} into device {}", what, ordinal_));
  return function;
}

LoadedKernel DeviceState::load(std::shared_ptr<const KernelBinary> binary, const std::string& what) {
  const auto start = std::chrono::steady_clock::now();
  const driver::CUlibrary library = open_library(binary->cubin, binary->ptx, what);
  {
    const std::lock_guard lock(libraries_mutex_);
    libraries_.push_back(library);
  }
  LoadedKernel loaded;
  for (std::size_t i = 0; i < std::min(binary->lowered_names.size(), loaded.functions.size()); ++i) {
    const driver::CUfunction function = find_function(library, binary->lowered_names[i], what);
    allow_all_shared_memory(driver_->api, function, traits_.max_shared_per_block, what);
    loaded.functions[i] = function;
  }
  loaded.load_us =
      std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  loaded.binary = std::move(binary);
  return loaded;
}

void DeviceState::unload() noexcept {
  const std::lock_guard lock(libraries_mutex_);
  for (const driver::CUlibrary library : libraries_) {
    static_cast<void>(driver_->api.cuLibraryUnload(library));
  }
  libraries_.clear();
}

void DeviceState::try_load(const std::string& cubin, const std::string& ptx,
                           const std::vector<std::string>& kernels, const std::string& what) const {
  const driver::CUlibrary library = open_library(cubin, ptx, what);
  const auto unload = [&] { static_cast<void>(driver_->api.cuLibraryUnload(library)); };
  try {
    for (const std::string& kernel : kernels) {
      static_cast<void>(find_function(library, kernel, what));
    }
  } catch (...) {
    unload();
    throw;
  }
  unload();
}

}  // namespace kerncast
