#pragma once

#include <dlfcn.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/driver/context.hpp"
#include "runtime/driver/driver_api.hpp"
#include "runtime/driver/driver_error.hpp"
#include "runtime/simulator/driver/abi/symbols.hpp"
#include "tests/simulator/driver/kernels.hpp"

/// The way in which the driver's tests reach the virtual GPU: through the runtime's table of functions, or by
/// the library's symbols, as a program does that knows no more than the library's name.
namespace kerncast::tests {

namespace api = kerncast::simulator::api;
using namespace kerncast::driver;

inline void* find_symbol(const char* name) {
  static void* library = dlopen(KERNCAST_SIM_LIBRARY, RTLD_NOW);
  void* found = library != nullptr ? dlsym(library, name) : nullptr;
  if (found == nullptr) {
    throw std::runtime_error(std::string("no symbol ") + name);
  }
  return found;
}

/// The exported function `name`.
#define CU(name) \
  (reinterpret_cast<decltype(&kerncast::tests::api::name)>(kerncast::tests::find_symbol(#name)))
#define REQUIRE_CU(...) REQUIRE((__VA_ARGS__) == kerncast::driver::CUDA_SUCCESS)

/// A host function that holds a stream up until it is opened.
class Gate {
 public:
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { open(); }

  CUresult close(const DriverApi& api, CUstream stream) {
    return api.cuLaunchHostFunc(stream, [](void* data) { static_cast<Shared*>(data)->wait(); }, shared_);
  }
  void open() { shared_->open(); }

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    bool is_open = false;
    void wait() {
      std::unique_lock lock(mutex);
      changed.wait(lock, [this] { return is_open; });
    }
    void open() {
      const std::lock_guard lock(mutex);
      is_open = true;
      changed.notify_all();
    }
  };
  // Stays for the stream's thread, which may still be inside when the gate goes.
  static Shared* keep() {
    static std::vector<std::unique_ptr<Shared>> all;
    all.push_back(std::make_unique<Shared>());
    return all.back().get();
  }
  Shared* shared_ = keep();
};

/// The virtual GPU as the runtime loads it.
inline std::shared_ptr<const Driver> virtual_gpu() {
  static const std::shared_ptr<const Driver> driver = load_driver(KERNCAST_SIM_LIBRARY);
  return driver;
}

/// The primary context of device 0 through the runtime's table of driver functions, with the kernels above
/// loaded.
struct PrimaryFixture {
  PrimaryFixture() : context(virtual_gpu(), 0), api(context.api()) {}

  [[nodiscard]] CUmodule load(const char* ptx = kernels) const {
    CUmodule loaded = nullptr;
    check(api, api.cuModuleLoadDataEx(&loaded, ptx, 0, nullptr, nullptr), "loading");
    return loaded;
  }

  [[nodiscard]] CUfunction function(const char* name) {
    if (kernels_module == nullptr) {
      kernels_module = load();
    }
    CUfunction found = nullptr;
    check(api, api.cuModuleGetFunction(&found, kernels_module, name), name);
    return found;
  }

  CUresult add(CUdeviceptr out, unsigned int n, unsigned int value, CUstream stream) {
    void* parameters[] = {&out, &n, &value};
    return api.cuLaunchKernel(function("add"), (n + 127) / 128, 1, 1, 128, 1, 1, 0, stream, parameters,
                              nullptr);
  }

  CUresult store(CUdeviceptr to, unsigned int value, CUstream stream) {
    void* parameters[] = {&to, &value};
    return api.cuLaunchKernel(function("store"), 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr);
  }

  CUresult run(const char* name, CUstream stream, unsigned int threads = 1) {
    return api.cuLaunchKernel(function(name), 1, 1, 1, threads, 1, 1, 0, stream, nullptr, nullptr);
  }

  template <class Function>
  [[nodiscard]] static Function* symbol(const char* name) {
    return reinterpret_cast<Function*>(virtual_gpu()->symbol(name));
  }

  PrimaryContext context;
  const DriverApi& api;
  CUmodule kernels_module = nullptr;
};

/// The contents of `buffer`, once the legacy stream has come there.
inline std::vector<unsigned int> read_words(const DeviceBuffer& buffer) {
  std::vector<unsigned int> words(buffer.size() / 4);
  buffer.download(words.data(), buffer.size());
  return words;
}

/// A context of its own on a device, current while it lives, with the kernels above.
struct OwnContext {
  explicit OwnContext(CUdevice device = 0) {
    REQUIRE_CU(CU(cuInit)(0));
    REQUIRE_CU(CU(cuCtxCreate_v2)(&context, 0, device));
    REQUIRE_CU(CU(cuModuleLoadData)(&module, kernels));
  }
  ~OwnContext() { CU(cuCtxDestroy_v2)(context); }
  OwnContext(const OwnContext&) = delete;
  OwnContext& operator=(const OwnContext&) = delete;

  [[nodiscard]] CUfunction function(const char* name) const {
    CUfunction found = nullptr;
    REQUIRE_CU(CU(cuModuleGetFunction)(&found, module, name));
    return found;
  }

  /// A stream that does not order itself with the legacy one.
  static CUstream stream() {
    CUstream made = nullptr;
    REQUIRE_CU(CU(cuStreamCreate)(&made, CU_STREAM_NON_BLOCKING));
    return made;
  }

  static CUevent event(unsigned int flags = CU_EVENT_DEFAULT) {
    CUevent made = nullptr;
    REQUIRE_CU(CU(cuEventCreate)(&made, flags));
    return made;
  }

  /// `count` words of device memory, all `value`.
  static CUdeviceptr words(std::size_t count, unsigned int value) {
    CUdeviceptr made = 0;
    REQUIRE_CU(CU(cuMemAlloc_v2)(&made, 4 * count));
    REQUIRE_CU(CU(cuMemsetD32_v2)(made, value, count));
    REQUIRE_CU(CU(cuCtxSynchronize)());
    return made;
  }

  static std::vector<unsigned int> read(CUdeviceptr from, std::size_t count) {
    std::vector<unsigned int> values(count);
    REQUIRE_CU(CU(cuMemcpyDtoH_v2)(values.data(), from, 4 * count));
    return values;
  }

  /// Launches add_one or double_it on up to 128 words.
  CUresult launch(const char* name, CUstream stream, CUdeviceptr x, unsigned int n) const {
    void* parameters[] = {&x, &n};
    return CU(cuLaunchKernel)(function(name), 1, 1, 1, 128, 1, 1, 0, stream, parameters, nullptr);
  }

  CUcontext context = nullptr;
  CUmodule module = nullptr;
};

}  // namespace kerncast::tests
