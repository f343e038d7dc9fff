#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/driver/context.hpp"
#include "runtime/driver/driver_api.hpp"
#include "runtime/driver/driver_error.hpp"

/// What the tests of the virtual GPU's driver share: small kernels, the loaded table and a current context.
namespace kerncast::driver::test {

/// Kernels: add(out, n, value), blocks of any size: out[i] += value for i < n; store(address, value): one
/// thread stores 32 bits; forever(): never ends; trap(): traps; dynamic(out): shared memory's first word goes
/// to out; bounded(): at most 64 threads. Variable: counter, 16 bytes, {7, 8, 9, 10}.
inline constexpr const char* kernels = R"(
.version 8.0
.target sm_75
.address_size 64
.visible .global .align 4 .b32 counter[4] = {7, 8, 9, 10};
.extern .shared .align 16 .b8 dynamic_memory[];
.visible .entry add(.param .u64 add_out, .param .u32 add_n, .param .u32 add_value)
{
  .reg .pred %p<2>;
  .reg .b32 %r<9>;
  .reg .b64 %rd<5>;
  ld.param.u64 %rd1, [add_out];
  ld.param.u32 %r1, [add_n];
  ld.param.u32 %r7, [add_value];
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  mad.lo.s32 %r5, %r2, %r3, %r4;
  setp.ge.u32 %p1, %r5, %r1;
  @%p1 bra DONE;
  cvta.to.global.u64 %rd2, %rd1;
  mul.wide.u32 %rd3, %r5, 4;
  add.s64 %rd4, %rd2, %rd3;
  ld.global.u32 %r6, [%rd4];
  add.s32 %r8, %r6, %r7;
  st.global.u32 [%rd4], %r8;
DONE:
  ret;
}
.visible .entry store(.param .u64 store_to, .param .u32 store_value)
{
  .reg .b32 %r<2>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [store_to];
  ld.param.u32 %r1, [store_value];
  cvta.to.global.u64 %rd2, %rd1;
  st.global.u32 [%rd2], %r1;
  ret;
}
.visible .entry forever()
{
AGAIN:
  bra AGAIN;
}
.visible .entry trap()
{
  trap;
  ret;
}
.visible .entry dynamic(.param .u64 dynamic_out)
{
  .reg .b32 %r<3>;
  .reg .b64 %rd<3>;
  mov.u32 %r1, 41;
  st.shared.u32 [dynamic_memory], %r1;
  ld.shared.u32 %r2, [dynamic_memory];
  ld.param.u64 %rd1, [dynamic_out];
  cvta.to.global.u64 %rd2, %rd1;
  st.global.u32 [%rd2], %r2;
  ret;
}
.visible .entry bounded()
.maxntid 64, 1, 1
{
  ret;
}
)";

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

inline std::shared_ptr<const Driver> simulator() {
  static const std::shared_ptr<const Driver> driver = load_driver(KERNCAST_SIM_LIBRARY);
  return driver;
}

struct SimFixture {
  SimFixture() : context(simulator(), 0), api(context.api()) {}

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
    return reinterpret_cast<Function*>(simulator()->symbol(name));
  }

  PrimaryContext context;
  const DriverApi& api;
  CUmodule kernels_module = nullptr;
};

inline std::vector<unsigned int> read_words(const DeviceBuffer& buffer) {
  std::vector<unsigned int> words(buffer.size() / 4);
  buffer.download(words.data(), buffer.size());
  return words;
}

}  // namespace kerncast::driver::test
