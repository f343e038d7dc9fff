#pragma once

#include "device/convert_bytes.cuh"
#include "device/decode_bytes.cuh"
#include "device/pair.cuh"
#include "device/quantise.cuh"

/// Scales of blocks of 16 or 32 values as tensor cores apply them: one byte each, and their swizzled layout.
namespace kerncast {

/// Byte of the scale of block `k` of row `m` in tiles of 128 rows and 4 blocks; a row has `Blocks`, a
/// multiple of 4 with padding.
template <int Blocks>
__device__ __forceinline__ long long swizzled_offset(long long m, int k) {
  const auto within = static_cast<int>(m % 128);
  return (m / 128 * (Blocks / 4) + k / 4) * 512 + within % 32 * 16 + within / 32 * 4 + k % 4;
}

/// Above this magnitude of a global scale g, g / scale may overflow. Values are then multiplied by this
/// number first, and g is divided by it.
inline constexpr float large_global_scale = 0x1p64f;

/// e4m3 scale under a global scale g: e4m3(g * amax / 6). Values are multiplied by g / scale, or by 0 if the
/// scale is 0. The scale has the sign of g, and NaN spreads to the values.
__device__ __forceinline__ Scale nvfp4_scale(float amax, float global_scale) {
  const unsigned bits = pack2_bytes<fp8_e4m3>(global_scale * amax * (1.0f / 6.0f), 0.0f) & 0xffu;
  const float value = decode<fp8_e4m3>(bits);
  const float factor =
      fabsf(global_scale) > large_global_scale ? global_scale / large_global_scale : global_scale;
  return {bits, (bits & 0x7fu) == 0u ? 0.0f : quotient(factor, value, fast_reciprocal(value))};
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
