#pragma once

#include "device/formats/convert.cuh"

/// Products of small matrices by a warp. Lane 4 * g + t holds of a left operand (16 rows, 16 columns of
/// 16-bit elements) the elements 2t, 2t + 1, 2t + 8 and 2t + 9 of rows g and g + 8; of a right operand (8
/// columns of 16) the same elements of column g; and of a result columns 2t and 2t + 1 of rows g and g + 8.
namespace kerncast {

/// Reads four 8x8 matrices of 16-bit elements; lane l gives the address of row l % 8 of matrix l / 8.
__device__ __forceinline__ void load_matrices(unsigned address, unsigned (&to)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}

/// Reads two, at the addresses of the first 16 lanes.
__device__ __forceinline__ void load_matrices(unsigned address, unsigned (&to)[2]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(to[0]), "=r"(to[1])
               : "r"(address)
               : "memory");
}

#if __CUDA_ARCH__ >= 800
template <class T>
__device__ __forceinline__ void multiply_add(float (&sum)[4], const unsigned (&left)[4], unsigned right0,
                                             unsigned right1);

template <>
__device__ __forceinline__ void multiply_add<bf16>(float (&sum)[4], const unsigned (&left)[4],
                                                   unsigned right0, unsigned right1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}

template <>
__device__ __forceinline__ void multiply_add<f16>(float (&sum)[4], const unsigned (&left)[4], unsigned right0,
                                                  unsigned right1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}
#else
/// sm_75 has no such product of 16 columns and none of bf16: the lanes exchange their operands and add up in
/// f64, in order of k. It serves for correctness, not for speed.
template <class T>
__device__ __forceinline__ void multiply_add(float (&sum)[4], const unsigned (&left)[4], unsigned right0,
                                             unsigned right1) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  double sums[4] = {sum[0], sum[1], sum[2], sum[3]};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll 1
    for (int t = 0; t < 4; ++t) {
      const unsigned right = half == 0 ? right0 : right1;
      float rows[2][2];
      float columns[2][2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        unpack2<T>(__shfl_sync(0xffffffffu, left[2 * half + i], (lane & ~3) + t), rows[i][0], rows[i][1]);
        unpack2<T>(__shfl_sync(0xffffffffu, right, (2 * (lane & 3) + i) * 4 + t), columns[i][0],
                   columns[i][1]);
      }
#pragma unroll
      for (int k = 0; k < 2; ++k) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          sums[i] = fma(static_cast<double>(rows[i / 2][k]), static_cast<double>(columns[i % 2][k]), sums[i]);
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    sum[i] = static_cast<float>(sums[i]);
  }
}
#endif

/// Adds exact products of 32 columns of bytes, signed: a lane holds of a left operand the elements 4t to 4t +
/// 3 and 4t + 16 to 4t + 19 of rows g and g + 8, in the order g, g + 8, g, g + 8; of a right one the same
/// elements of column g.
__device__ __forceinline__ void multiply_add_bytes(int (&sum)[4], const unsigned (&left)[4], unsigned right0,
                                                   unsigned right1) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
#else
  const int lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll 1
    for (int t = 0; t < 4; ++t) {
      const unsigned right = half == 0 ? right0 : right1;
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        const unsigned of_row = __shfl_sync(0xffffffffu, left[2 * half + row], (lane & ~3) + t);
#pragma unroll
        for (int column = 0; column < 2; ++column) {
          const unsigned of_column = __shfl_sync(0xffffffffu, right, (2 * (lane & 3) + column) * 4 + t);
          asm("dp4a.s32.s32 %0, %1, %2, %0;" : "+r"(sum[2 * row + column]) : "r"(of_row), "r"(of_column));
        }
      }
    }
  }
#endif
}

}  // namespace kerncast
