#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <string>

#include "tests/simulator/driver/fixture.hpp"

// A kernel's mistakes as a host sees them that knows only the C symbols of the library.
using namespace kerncast::tests;
using Catch::Matchers::Contains;

namespace {

/// A context of its own for each case, since a fault stays with its context.
struct Device {
  Device() {
    REQUIRE_CU(CU(cuInit)(0));
    REQUIRE_CU(CU(cuDevicePrimaryCtxRetain)(&context, 0));
    REQUIRE_CU(CU(cuCtxSetCurrent)(context));
  }
  ~Device() {
    CU(cuDevicePrimaryCtxReset_v2)(0);
    CU(cuDevicePrimaryCtxRelease_v2)(0);
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  CUdeviceptr allocate(std::size_t bytes) const {
    CUdeviceptr at = 0;
    REQUIRE_CU(CU(cuMemAlloc_v2)(&at, bytes));
    return at;
  }

  static CUfunction load(const std::string& ptx) {
    CUmodule module = nullptr;
    REQUIRE_CU(CU(cuModuleLoadData)(&module, ptx.c_str()));
    CUfunction function = nullptr;
    REQUIRE_CU(CU(cuModuleGetFunction)(&function, module, "careless"));
    return function;
  }

  /// Launches `function` on 3 x 2 blocks of 8 x 4 x 2 threads.
  static CUresult launch(CUfunction function, CUdeviceptr argument) {
    void* parameters[] = {&argument};
    return CU(cuLaunchKernel)(function, 3, 2, 1, 8, 4, 2, 0, nullptr, parameters, nullptr);
  }

  CUcontext context = nullptr;
};

CUresult synchronize() {
  return CU(cuCtxSynchronize)();
}

std::string last_fault() {
  const char* text = CU(kerncastSimLastFault)();
  return text == nullptr ? "" : text;
}

/// Kernel `careless`, in which one thread of one block, (5,3,1) of (2,1,0), executes `access` on x, the
/// argument.
std::string careless(const std::string& access) {
  return ".version 8.0\n.target sm_80\n.address_size 64\n"
         ".visible .entry careless(.param .u64 px)\n{\n"
         ".reg .pred p; .reg .b32 i, n, v; .reg .b64 x; .shared .align 8 .b8 s[64];\n"
         "ld.param.u64 x, [px];\n"
         "mov.u32 i, %ctaid.y; mov.u32 n, %nctaid.x; mov.u32 v, %ctaid.x; mad.lo.u32 i, i, n, v;\n"
         "mov.u32 v, %tid.z; mad.lo.u32 i, i, 2, v;\n"
         "mov.u32 v, %tid.y; mad.lo.u32 i, i, 4, v;\n"
         "mov.u32 v, %tid.x; mad.lo.u32 i, i, 8, v;\n"
         // Block 1 * 3 + 2 = 5, then plane 1, row 3, column 5.
         "setp.eq.u32 p, i, 381;\n@p " +
         access + "\nret;\n}\n";
}

int line_of(const std::string& text, const std::string& what) {
  return 1 + static_cast<int>(
                 std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(text.find(what)), '\n'));
}

/// Runs `access` on a buffer of 400 bytes and checks all that the error must tell.
void check_fault(const std::string& access, CUresult code, const char* name, std::uint64_t offset,
                 const std::string& what) {
  INFO(access);
  const Device device;
  const CUdeviceptr buffer = device.allocate(400);
  const std::string text = careless(access);
  const CUfunction function = Device::load(text);
  REQUIRE_CU(Device::launch(function, buffer));
  CHECK(synchronize() == code);
  const std::string fault = last_fault();
  CHECK_THAT(fault, Contains("kernel 'careless'") && Contains("block (2,1,0)") &&
                        Contains("thread (5,3,1)") && Contains(fmt::format("{:#x}", buffer + offset)) &&
                        Contains(what) &&
                        Contains(fmt::format("PTX line {}: @p {}", line_of(text, "@p "), access)));
  const char* given = nullptr;
  REQUIRE_CU(CU(cuGetErrorName)(code, &given));
  CHECK(std::string(given) == name);
  // It stays: whatever the host calls next says the same.
  int value = 0;
  CHECK(CU(cuMemcpyDtoH_v2)(&value, buffer, 4) == code);
  CHECK(Device::launch(function, buffer) == code);
  CHECK(synchronize() == code);
  CHECK(last_fault() == fault);
}

}  // namespace

TEST_CASE("access outside an allocation is an illegal address that names thread, address and line") {
  check_fault("ld.global.u32 v, [x+400];", CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", 400,
              "read of 4 bytes");
  check_fault("st.global.u32 [x+400], v;", CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", 400,
              "write of 4 bytes");
  check_fault("ld.global.u64 x, [x+396];", CUDA_ERROR_MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS",
              396, "read of 8 bytes");
}

TEST_CASE("a misaligned access is an error of its own") {
  check_fault("ld.global.u32 v, [x+6];", CUDA_ERROR_MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS", 6,
              "multiple of 4");
  check_fault("st.global.u64 [x+12], x;", CUDA_ERROR_MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS", 12,
              "multiple of 8");
  check_fault("red.global.add.u32 [x+2], 1;", CUDA_ERROR_MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS",
              2, "multiple of 4");
}

TEST_CASE("shared memory and null pointers are guarded too") {
  const Device device;
  REQUIRE(Device::launch(Device::load(careless("st.shared.u32 [s+64], v;")), device.allocate(400)) ==
          CUDA_SUCCESS);
  CHECK(synchronize() == CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK_THAT(last_fault(), Contains("block (2,1,0)") && Contains("thread (5,3,1)") &&
                               Contains("offset 64 of the 64 bytes of shared memory"));
}

TEST_CASE("a recursion beyond the stack limit is an error of the stack") {
  const Device device;
  const std::string text =
      ".version 8.0\n.target sm_80\n.address_size 64\n"
      ".func f(.param .b64 n) { .reg .b64 x; ld.param.b64 x, [n]; { .param .b64 a; st.param.b64 [a], x; "
      "call.uni f, "
      "(a); } ret; }\n"
      ".visible .entry careless(.param .u64 px) { .reg .b64 x; ld.param.u64 x, [px]; { .param .b64 a; "
      "st.param.b64 [a], "
      "x; call.uni f, (a); } ret; }\n";
  REQUIRE_CU(Device::launch(Device::load(text), 5));
  CHECK(synchronize() == CUDA_ERROR_HARDWARE_STACK_ERROR);
  CHECK_THAT(last_fault(), Contains("bytes of stack, and the limit is 1024"));
}

TEST_CASE("after a reset the device works again and the old fault is gone") {
  {
    const Device device;
    REQUIRE(Device::launch(Device::load(careless("ld.global.u32 v, [x];")), 0) == CUDA_SUCCESS);
    CHECK(synchronize() == CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK_THAT(last_fault(), Contains("null pointer"));
  }
  const Device device;
  const CUdeviceptr buffer = device.allocate(400);
  REQUIRE(Device::launch(Device::load(careless("st.global.u32 [x+396], i;")), buffer) == CUDA_SUCCESS);
  CHECK(synchronize() == CUDA_SUCCESS);
  CHECK(last_fault().empty());
  std::uint32_t value = 0;
  REQUIRE_CU(CU(cuMemcpyDtoH_v2)(&value, buffer + 396, 4));
  CHECK(value == 381);
}
