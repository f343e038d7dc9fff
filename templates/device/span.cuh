#pragma once

#include "device/vec.cuh"

namespace kerncast {

/// load_values() for lanes that load neighbouring spans. If a span takes two accesses and lane ^ 1 loads the
/// span beside it (`Paired`), the two lanes load whole sectors and exchange halves.
template <class T, int N, bool Paired>
__device__ __forceinline__ void load_span(const T* address, float* out) {
  if constexpr (Paired && N * sizeof(T) == 32) {
    static_assert(sizeof(T) == 4, "elements of 16 bits come 16 bytes at a time");
    const int odd = threadIdx.x & 1u;
    const float4* half = reinterpret_cast<const float4*>(address - 4 * odd);
    const float4 near = half[0];
    const float4 far = half[2];
    // One block of PTX shortens the compile.
    asm volatile(
        "{ .reg .pred odd;\n  .reg .f32 g0, g1, g2, g3;\n  setp.ne.s32 odd, %16, 0;\n"
        "  selp.f32 g0, %8, %12, odd;\n  selp.f32 g1, %9, %13, odd;\n"
        "  selp.f32 g2, %10, %14, odd;\n  selp.f32 g3, %11, %15, odd;\n"
        "  shfl.sync.bfly.b32 g0, g0, 1, 31, %17;\n  shfl.sync.bfly.b32 g1, g1, 1, 31, %17;\n"
        "  shfl.sync.bfly.b32 g2, g2, 1, 31, %17;\n  shfl.sync.bfly.b32 g3, g3, 1, 31, %17;\n"
        "  selp.f32 %0, g0, %8, odd;\n  selp.f32 %1, g1, %9, odd;\n"
        "  selp.f32 %2, g2, %10, odd;\n  selp.f32 %3, g3, %11, odd;\n"
        "  selp.f32 %4, %12, g0, odd;\n  selp.f32 %5, %13, g1, odd;\n"
        "  selp.f32 %6, %14, g2, odd;\n  selp.f32 %7, %15, g3, odd; }"
        : "=&f"(out[0]), "=&f"(out[1]), "=&f"(out[2]), "=&f"(out[3]), "=&f"(out[4]), "=&f"(out[5]),
          "=&f"(out[6]), "=&f"(out[7])
        : "f"(near.x), "f"(near.y), "f"(near.z), "f"(near.w), "f"(far.x), "f"(far.y), "f"(far.z), "f"(far.w),
          "r"(odd), "r"(3u << (threadIdx.x & 30u)));
  } else {
    load_values<T, N>(address, out);
  }
}

}  // namespace kerncast
