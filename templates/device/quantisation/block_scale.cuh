#pragma once

#include "device/formats/convert_bytes.cuh"
#include "device/formats/decode_bytes.cuh"
#include "device/pair.cuh"
#include "device/quantisation/quantise.cuh"

/// Scales of blocks of 16 or 32 values as tensor cores apply them: one byte each, and their swizzled layout.
namespace kerncast {

/// Byte of the scale of block `k` of row `within` of a tile of 128 rows, counted from the tile's first block.
__device__ __forceinline__ int swizzled_within(unsigned within, unsigned k) {
  return static_cast<int>(k / 4 * 512 + within % 32 * 16 + within / 32 * 4 + k % 4);
}

/// The value of an e4m3 byte. The payload of a NaN depends on the architecture.
__device__ __forceinline__ float value_of_e4m3(unsigned bits) {
#if __CUDA_ARCH__ >= 890
  float value;
  asm("{ .reg .b16 pair, low, high;\n  .reg .b32 halves;\n  cvt.u16.u32 pair, %1;\n"
      "  cvt.rn.f16x2.e4m3x2 halves, pair;\n  mov.b32 {low, high}, halves;\n  cvt.f32.f16 %0, low; }"
      : "=f"(value)
      : "r"(bits));
  return value;
#else
  return decode<fp8_e4m3>(bits);
#endif
}

/// e4m3 scale under a global scale g: e4m3(g * amax / 6). Values are multiplied by g / scale, or by 0 if the
/// scale is 0. The scale has the sign of g, and NaN spreads to the values. If g / scale overflows, `Count`
/// values are multiplied by 2^64 here, and the factor is less by as much.
template <int Count>
__device__ __forceinline__ Scale nvfp4_scale(float amax, float global_scale, float* values) {
  const unsigned bits = pack2_bytes<fp8_e4m3>(global_scale * amax * (1.0f / 6.0f), 0.0f);
  const float value = value_of_e4m3(bits);
  const float reciprocal = fast_reciprocal(value);
  // This is quotient() where the quotient is a number.
  const float guess = global_scale * reciprocal;
  Scale scale{bits, fmaf(fmaf(-guess, value, global_scale), reciprocal, guess)};
  if (__builtin_expect(!(fabsf(scale.factor) <= 3.40282347e38f), 0)) {
    const bool vanished = value == 0.0f;
    scale.factor = vanished ? 0.0f : quotient(global_scale * 0x1p-64f, value, reciprocal);
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      values[i] *= vanished ? 1.0f : 0x1p64f;
    }
  }
  return scale;
}

/// ue8m0 scale: 2^ceil(log2(amax / largest)), or with `OcpFloor` the scale of OCP MX v1.0,
/// 2^(floor(log2(amax)) - Emax).
template <bool OcpFloor, int Emax>
__device__ __forceinline__ Scale mx_scale(float amax, float largest) {
  if constexpr (OcpFloor) {
    const unsigned exponent = __float_as_uint(fmaxf(amax, 1e-10f)) >> 23;
    const unsigned bits = exponent == 255u ? 254u : exponent - Emax;
    return {bits, ue8m0_inverse(bits)};
  } else {
    return scale_of<quant::ScaleFormat::packed_ue8m0>(amax, largest);
  }
}

}  // namespace kerncast
