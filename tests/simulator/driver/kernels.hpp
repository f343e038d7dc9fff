#pragma once

namespace kerncast::tests {

/// Kernels that the driver's tests launch.
/// add(out, n, value), blocks of any size: out[i] += value for i < n. add_one(x, n) and double_it(x, n): the
/// same with 1, or times 2. store(address, value): one thread stores 32 bits. copy(to, from): one thread
/// copies 32 bits. spin(flag): one thread waits until *flag is not 0. forever(): never ends. trap(): traps.
/// dynamic(out): the first word of shared memory goes to out. bounded(): at most 64 threads. Variable:
/// counter, 16 bytes, {7, 8, 9, 10}.
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

}  // namespace kerncast::tests
