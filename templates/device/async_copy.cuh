#pragma once

#include "device/vector_type.cuh"

/// Copies from global to shared memory that go on while the block computes. Before sm_80, which has none, the
/// thread copies at once.
namespace kerncast {

/// The address of shared memory as instructions on it take it.
__device__ __forceinline__ unsigned shared_address(const void* pointer) {
  unsigned address;
  asm("{ .reg .u64 wide;\n  cvta.to.shared.u64 wide, %1;\n  cvt.u32.u64 %0, wide; }"
      : "=r"(address)
      : "l"(pointer));
  return address;
}

/// Starts a copy of `Bytes` bytes, a power of two up to 16, between addresses that are multiples of it. If
/// not `present`, zeros are written and nothing is read, but `from` must still be an address of global
/// memory.
template <int Bytes>
__device__ __forceinline__ void copy_async(unsigned to, const void* from, bool present) {
#if __CUDA_ARCH__ >= 800
  if constexpr (Bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(present ? 16 : 0)
                 : "memory");
  } else if constexpr (Bytes >= 4) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(from), "n"(Bytes),
                 "r"(present ? Bytes : 0)
                 : "memory");
  }
  constexpr bool copied = Bytes >= 4;
#else
  constexpr bool copied = false;
#endif
  if constexpr (!copied) {
    using Part = typename VectorType<Bytes>::type;
    Part part{};
    if (present) {
      part = *static_cast<const Part*>(from);
    }
    if constexpr (Bytes == 16) {
      asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(part.x), "r"(part.y),
                   "r"(part.z), "r"(part.w)
                   : "memory");
    } else if constexpr (Bytes == 8) {
      asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(to), "r"(part.x), "r"(part.y) : "memory");
    } else if constexpr (Bytes == 4) {
      asm volatile("st.shared.b32 [%0], %1;" ::"r"(to), "r"(part) : "memory");
    } else if constexpr (Bytes == 2) {
      asm volatile("st.shared.b16 [%0], %1;" ::"r"(to), "h"(part) : "memory");
    } else {
      asm volatile("st.shared.b8 [%0], %1;" ::"r"(to), "h"(static_cast<unsigned short>(part)) : "memory");
    }
  }
}

/// Starts a copy of the first `bytes` of `Bytes` bytes, 4, 8 or 16, and writes zeros for the others. If
/// there are none, `from` must still be an address of global memory.
template <int Bytes>
__device__ __forceinline__ void copy_async_part(unsigned to, const void* from, int bytes) {
#if __CUDA_ARCH__ >= 800
  if constexpr (Bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(from), "n"(Bytes), "r"(bytes)
                 : "memory");
  }
#else
#pragma unroll 1
  for (int i = 0; i < Bytes; ++i) {
    copy_async<1>(to + i, static_cast<const unsigned char*>(from) + (i < bytes ? i : 0), i < bytes);
  }
#endif
}

/// Ends a group of the copies that this thread has started since the last one.
__device__ __forceinline__ void end_copy_group() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits until at most the last `Pending` groups of this thread are unfinished. Other threads see what was
/// copied after a barrier.
template <int Pending>
__device__ __forceinline__ void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
#endif
}

}  // namespace kerncast
