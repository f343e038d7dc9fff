#pragma once

#include <dlfcn.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/simulator/driver/abi/symbols.hpp"

/// The virtual GPU as a program finds it that knows no more than the library's name. The symbols' types alone
/// come from the sources.
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

/// `add_one(uint32* x, uint32 n)`: x[i] += 1; `spin(uint32* flag)`: one thread waits until *flag != 0;
/// `copy(uint32* to, const uint32* from)`: one thread copies one element; `trap()`.
inline constexpr const char* kernels = R"(
.version 8.0
.target sm_75
.address_size 64
.global .u32 counter = 7;
.visible .entry add_one(.param .u64 x, .param .u32 n)
{
  .reg .pred %p<2>;
  .reg .b32 %r<8>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [x];
  ld.param.u32 %r1, [n];
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mov.u32 %r4, %tid.x;
  mad.lo.s32 %r5, %r2, %r3, %r4;
  setp.ge.u32 %p1, %r5, %r1;
  @%p1 bra DONE;
  mul.wide.u32 %rd2, %r5, 4;
  add.s64 %rd3, %rd1, %rd2;
  ld.global.u32 %r6, [%rd3];
  add.s32 %r7, %r6, 1;
  st.global.u32 [%rd3], %r7;
DONE:
  ret;
}
.visible .entry double_it(.param .u64 x, .param .u32 n)
{
  .reg .pred %p<2>;
  .reg .b32 %r<8>;
  .reg .b64 %rd<4>;
  ld.param.u64 %rd1, [x];
  ld.param.u32 %r1, [n];
  mov.u32 %r4, %tid.x;
  setp.ge.u32 %p1, %r4, %r1;
  @%p1 bra DONE;
  mul.wide.u32 %rd2, %r4, 4;
  add.s64 %rd3, %rd1, %rd2;
  ld.global.u32 %r6, [%rd3];
  shl.b32 %r7, %r6, 1;
  st.global.u32 [%rd3], %r7;
DONE:
  ret;
}
.visible .entry spin(.param .u64 flag)
{
  .reg .pred %p<2>;
  .reg .b32 %r<2>;
  .reg .b64 %rd<2>;
  ld.param.u64 %rd1, [flag];
AGAIN:
  ld.volatile.global.u32 %r1, [%rd1];
  setp.eq.u32 %p1, %r1, 0;
  @%p1 bra AGAIN;
  ret;
}
.visible .entry copy(.param .u64 to, .param .u64 from)
{
  .reg .b32 %r<2>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [to];
  ld.param.u64 %rd2, [from];
  ld.global.u32 %r1, [%rd2];
  st.global.u32 [%rd1], %r1;
  ret;
}
)";

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
