// Conversions of cuda_fp8.h, cuda_fp6.h and cuda_fp4.h, one kernel each: d[i] = f(a[i], b[i]).
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>

#define KERNEL(name, type, result, expression)                                      \
  extern "C" __global__ void name(result* d, const type* a, const type* b, int n) { \
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);          \
    if (i < n) {                                                                    \
      const type x = a[i];                                                          \
      const type y = b[i];                                                          \
      (void)y;                                                                      \
      d[i] = expression;                                                            \
    }                                                                               \
  }
typedef unsigned char Byte;
typedef unsigned short Word;

KERNEL(e4m3_from_float, float, Byte, __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3))
KERNEL(e5m2_from_float, float, Byte, __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E5M2))
KERNEL(e4m3_from_float_nosat, float, Byte, __nv_cvt_float_to_fp8(x, __NV_NOSAT, __NV_E4M3))
KERNEL(e5m2_from_float_nosat, float, Byte, __nv_cvt_float_to_fp8(x, __NV_NOSAT, __NV_E5M2))
KERNEL(e4m3_from_double, double, Byte, __nv_cvt_double_to_fp8(x, __NV_SATFINITE, __NV_E4M3))
KERNEL(e4m3x2_from_floats, float, Word,
       __nv_cvt_float2_to_fp8x2(make_float2(x, y), __NV_SATFINITE, __NV_E4M3))
KERNEL(e5m2x2_from_floats, float, Word,
       __nv_cvt_float2_to_fp8x2(make_float2(x, y), __NV_SATFINITE, __NV_E5M2))
KERNEL(e4m3_from_half, __half_raw, Byte, __nv_cvt_halfraw_to_fp8(x, __NV_SATFINITE, __NV_E4M3))
KERNEL(e5m2_from_half, __half_raw, Byte, __nv_cvt_halfraw_to_fp8(x, __NV_SATFINITE, __NV_E5M2))
KERNEL(e4m3_from_bf16, __nv_bfloat16_raw, Byte, __nv_cvt_bfloat16raw_to_fp8(x, __NV_SATFINITE, __NV_E4M3))
KERNEL(half_from_e4m3, Byte, __half_raw, __nv_cvt_fp8_to_halfraw(x, __NV_E4M3))
KERNEL(half_from_e5m2, Byte, __half_raw, __nv_cvt_fp8_to_halfraw(x, __NV_E5M2))
KERNEL(half2_from_e4m3x2, Word, __half2_raw, __nv_cvt_fp8x2_to_halfraw2(x, __NV_E4M3))
KERNEL(half2_from_e5m2x2, Word, __half2_raw, __nv_cvt_fp8x2_to_halfraw2(x, __NV_E5M2))
KERNEL(e8m0_from_float_rz, float, Byte, __nv_cvt_float_to_e8m0(x, __NV_SATFINITE, cudaRoundZero))
KERNEL(e8m0_from_float_rp, float, Byte, __nv_cvt_float_to_e8m0(x, __NV_SATFINITE, cudaRoundPosInf))
KERNEL(bf16_from_e8m0, Byte, __nv_bfloat16_raw, __nv_cvt_e8m0_to_bf16raw(x))
KERNEL(e2m1_from_float, float, Byte, __nv_cvt_float_to_fp4(x, __NV_E2M1, cudaRoundNearest))
KERNEL(e2m1x2_from_floats, float, Byte,
       __nv_cvt_float2_to_fp4x2(make_float2(x, y), __NV_E2M1, cudaRoundNearest))
KERNEL(e2m1_from_half, __half_raw, Byte, __nv_cvt_halfraw_to_fp4(x, __NV_E2M1, cudaRoundNearest))
KERNEL(half_from_e2m1, Byte, __half_raw, __nv_cvt_fp4_to_halfraw(x, __NV_E2M1))
KERNEL(half2_from_e2m1x2, Byte, __half2_raw, __nv_cvt_fp4x2_to_halfraw2(x, __NV_E2M1))
KERNEL(e2m3_from_float, float, Byte, __nv_cvt_float_to_fp6(x, __NV_E2M3, cudaRoundNearest))
KERNEL(e3m2_from_float, float, Byte, __nv_cvt_float_to_fp6(x, __NV_E3M2, cudaRoundNearest))
KERNEL(half_from_e2m3, Byte, __half_raw, __nv_cvt_fp6_to_halfraw(x, __NV_E2M3))
KERNEL(half_from_e3m2, Byte, __half_raw, __nv_cvt_fp6_to_halfraw(x, __NV_E3M2))
