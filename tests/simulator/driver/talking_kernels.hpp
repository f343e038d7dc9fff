#pragma once

#include "tests/simulator/driver/fixture.hpp"

namespace kerncast::tests {

/// ping_pong(mine, theirs, rounds, first): for each round r from 1, the first of two kernels stores r at
/// theirs and waits until mine is r; the second waits, then stores. Accesses are relaxed, at the scope of the
/// system. publish(words, flag) stores 7 in 32 words and releases the flag; observe(words, flag, out)
/// acquires the flag, then copies the words.
inline constexpr const char* talking = R"(
.version 8.0
.target sm_75
.address_size 64
.visible .entry ping_pong(.param .u64 mine, .param .u64 theirs, .param .u32 rounds, .param .u32 first)
{
  .reg .pred %p<4>;
  .reg .b32 %r<6>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [mine];
  ld.param.u64 %rd2, [theirs];
  ld.param.u32 %r1, [rounds];
  ld.param.u32 %r2, [first];
  setp.ne.u32 %p1, %r2, 0;
  mov.u32 %r3, 0;
ROUND:
  add.u32 %r3, %r3, 1;
  @%p1 st.relaxed.sys.global.u32 [%rd2], %r3;
WAIT:
  ld.relaxed.sys.global.u32 %r4, [%rd1];
  setp.lt.u32 %p2, %r4, %r3;
  @%p2 bra WAIT;
  @!%p1 st.relaxed.sys.global.u32 [%rd2], %r3;
  setp.lt.u32 %p3, %r3, %r1;
  @%p3 bra ROUND;
  ret;
}
.visible .entry publish(.param .u64 words, .param .u64 flag)
{
  .reg .pred %p<2>;
  .reg .b32 %r<3>;
  .reg .b64 %rd<5>;
  ld.param.u64 %rd1, [words];
  ld.param.u64 %rd2, [flag];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd3, %r1, 4;
  add.s64 %rd4, %rd1, %rd3;
  mov.u32 %r2, 7;
  st.global.u32 [%rd4], %r2;
  bar.sync 0;
  setp.ne.u32 %p1, %r1, 0;
  @%p1 bra DONE;
  mov.u32 %r2, 1;
  st.release.sys.global.u32 [%rd2], %r2;
DONE:
  ret;
}
.visible .entry observe(.param .u64 words, .param .u64 flag, .param .u64 out)
{
  .reg .pred %p<2>;
  .reg .b32 %r<4>;
  .reg .b64 %rd<7>;
  ld.param.u64 %rd1, [words];
  ld.param.u64 %rd2, [flag];
  ld.param.u64 %rd5, [out];
  mov.u32 %r1, %tid.x;
WAIT:
  ld.acquire.sys.global.u32 %r2, [%rd2];
  setp.eq.u32 %p1, %r2, 0;
  @%p1 bra WAIT;
  mul.wide.u32 %rd3, %r1, 4;
  add.s64 %rd4, %rd1, %rd3;
  ld.global.u32 %r3, [%rd4];
  add.s64 %rd6, %rd5, %rd3;
  st.global.u32 [%rd6], %r3;
  ret;
}
)";

inline constexpr unsigned int talking_rounds = 200;

/// A context with the kernels above and a stream.
struct Talker {
  explicit Talker(CUdevice device) : own(device), stream(OwnContext::stream()) {
    REQUIRE_CU(CU(cuModuleLoadData)(&module, talking));
  }

  template <class... Parameters>
  void launch(const char* name, unsigned int threads, Parameters... values) const {
    CUfunction function = nullptr;
    REQUIRE_CU(CU(cuModuleGetFunction)(&function, module, name));
    void* parameters[] = {&values...};
    REQUIRE_CU(CU(cuLaunchKernel)(function, 1, 1, 1, threads, 1, 1, 0, stream, parameters, nullptr));
  }

  OwnContext own;
  CUstream stream;
  CUmodule module = nullptr;
};

}  // namespace kerncast::tests
