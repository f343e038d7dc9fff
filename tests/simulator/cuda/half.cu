// Intrinsics of cuda_fp16.h and cuda_bf16.h, one kernel each, over 16-bit encodings: d[i] = f(a[i], b[i],
// c[i]).
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define UNPACK(type)                                                     \
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); \
  if (i >= n) {                                                          \
    return;                                                              \
  }                                                                      \
  const type x = a[i];                                                   \
  const type y = b[i];                                                   \
  const type z = c[i];                                                   \
  (void)y;                                                               \
  (void)z

#define KERNEL(name, type, result, expression)                                                     \
  extern "C" __global__ void name(result* d, const type* a, const type* b, const type* c, int n) { \
    UNPACK(type);                                                                                  \
    d[i] = expression;                                                                             \
  }
#define SCALARS(name, expression)                \
  KERNEL(f16_##name, __half, __half, expression) \
  KERNEL(bf16_##name, __nv_bfloat16, __nv_bfloat16, expression)
// bf16 arithmetic beyond the basic starts at sm_80.
#if __CUDA_ARCH__ >= 800
#define SCALARS_80 SCALARS
#define PAIRS_80 PAIRS
#else
#define SCALARS_80(name, expression) KERNEL(f16_##name, __half, __half, expression)
#define PAIRS_80(name, expression) KERNEL(f16x2_##name, __half2, __half2, expression)
#endif
#define PAIRS(name, expression)                      \
  KERNEL(f16x2_##name, __half2, __half2, expression) \
  KERNEL(bf16x2_##name, __nv_bfloat162, __nv_bfloat162, expression)
#define TESTS(name, expression)               \
  KERNEL(f16_##name, __half, int, expression) \
  KERNEL(bf16_##name, __nv_bfloat16, int, expression)
#define MASKS(name, expression)                       \
  KERNEL(f16x2_##name, __half2, unsigned, expression) \
  KERNEL(bf16x2_##name, __nv_bfloat162, unsigned, expression)

SCALARS(add, __hadd(x, y))
SCALARS(sub, __hsub(x, y))
SCALARS(mul, __hmul(x, y))
SCALARS(div, __hdiv(x, y))
SCALARS_80(fma, __hfma(x, y, z))
SCALARS(add_sat, __hadd_sat(x, y))
SCALARS_80(fma_relu, __hfma_relu(x, y, z))
SCALARS(neg, __hneg(x))
SCALARS(abs, __habs(x))
SCALARS(max, __hmax(x, y))
SCALARS(min, __hmin(x, y))
SCALARS_80(max_nan, __hmax_nan(x, y))
SCALARS_80(min_nan, __hmin_nan(x, y))
SCALARS(sqrt, hsqrt(x))
SCALARS(rsqrt, hrsqrt(x))
SCALARS(rcp, hrcp(x))
SCALARS(exp, hexp(x))
SCALARS(exp2, hexp2(x))
SCALARS(log, hlog(x))
SCALARS(log2, hlog2(x))
SCALARS(sin, hsin(x))
SCALARS(cos, hcos(x))
SCALARS(tanh, htanh(x))
SCALARS(tanh_approx, htanh_approx(x))
SCALARS(floor, hfloor(x))
SCALARS(ceil, hceil(x))
SCALARS(trunc, htrunc(x))
SCALARS(rint, hrint(x))
PAIRS(add, __hadd2(x, y))
PAIRS(sub, __hsub2(x, y))
PAIRS(mul, __hmul2(x, y))
PAIRS_80(fma, __hfma2(x, y, z))
PAIRS_80(fma_relu, __hfma2_relu(x, y, z))
PAIRS_80(fma_sat, __hfma2_sat(x, y, z))
PAIRS(max, __hmax2(x, y))
PAIRS_80(min_nan, __hmin2_nan(x, y))
PAIRS(neg, __hneg2(x))
PAIRS(exp2, h2exp2(x))
PAIRS(exp, h2exp(x))
PAIRS(tanh_approx, h2tanh_approx(x))
PAIRS(sqrt, h2sqrt(x))
PAIRS(lt2, __hlt2(x, y))
PAIRS(geu2, __hgeu2(x, y))
PAIRS(ne2, __hne2(x, y))
PAIRS(isnan2, __hisnan2(x))
MASKS(le_mask, __hle2_mask(x, y))
MASKS(neu_mask, __hneu2_mask(x, y))
MASKS(all_lt, __hblt2(x, y) ? 1u : 0u)
MASKS(all_eq, __hbeq2(x, y) ? 1u : 0u)
TESTS(lt, __hlt(x, y) ? 1 : 0)
TESTS(equ, __hequ(x, y) ? 1 : 0)
TESTS(ne, __hne(x, y) ? 1 : 0)
TESTS(isnan, __hisnan(x) ? 1 : 0)
KERNEL(f16_to_int_rn, __half, int, __half2int_rn(x))
KERNEL(f16_to_int_rz, __half, int, __half2int_rz(x))
KERNEL(f16_to_uint_ru, __half, unsigned, __half2uint_ru(x))
KERNEL(f16_to_ll_rd, __half, long long, __half2ll_rd(x))
KERNEL(f16_to_short, __half, short, __half2short_rz(x))
KERNEL(f16_to_char, __half, signed char, __half2char_rz(x))
KERNEL(bf16_to_int, __nv_bfloat16, int, __bfloat162int_rn(x))
KERNEL(bf16_to_ull, __nv_bfloat16, unsigned long long, __bfloat162ull_rz(x))
KERNEL(f16_to_float, __half, float, __half2float(x))
KERNEL(bf16_to_float, __nv_bfloat16, float, __bfloat162float(x))
KERNEL(f16_from_int, int, __half, __int2half_rn(x))
KERNEL(f16_from_int_rz, int, __half, __int2half_rz(x))
KERNEL(f16_from_ull, unsigned long long, __half, __ull2half_ru(x))
KERNEL(bf16_from_int, int, __nv_bfloat16, __int2bfloat16_rn(x))
KERNEL(bf16_from_uint_rd, unsigned, __nv_bfloat16, __uint2bfloat16_rd(x))
KERNEL(f16_from_float_rn, float, __half, __float2half_rn(x))
KERNEL(f16_from_float_rz, float, __half, __float2half_rz(x))
KERNEL(f16_from_float_rd, float, __half, __float2half_rd(x))
KERNEL(f16_from_float_ru, float, __half, __float2half_ru(x))
KERNEL(bf16_from_float_rn, float, __nv_bfloat16, __float2bfloat16_rn(x))
KERNEL(bf16_from_float_rz, float, __nv_bfloat16, __float2bfloat16_rz(x))
KERNEL(bf16_from_float_rd, float, __nv_bfloat16, __float2bfloat16_rd(x))
KERNEL(bf16_from_float_ru, float, __nv_bfloat16, __float2bfloat16_ru(x))
KERNEL(f16_from_double, double, __half, __double2half(x))
KERNEL(bf16_from_double, double, __nv_bfloat16, __double2bfloat16(x))
KERNEL(f16x2_from_floats, float, __half2, __floats2half2_rn(x, y))
KERNEL(bf16x2_from_floats, float, __nv_bfloat162, __floats2bfloat162_rn(x, y))
