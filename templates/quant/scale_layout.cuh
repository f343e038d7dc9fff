#pragma once

#include "device/convert_bytes.cuh"
#include "device/pair.cuh"

/// Where and how the scales of row-wise groups are kept. The numbers are those of the host's choices.
namespace kerncast::quant {

enum ScaleLayout { row_major = 0, column_major = 1, column_major_tma_aligned = 2 };
enum ScaleFormat { scale_f32 = 0, scale_ue8m0 = 1, scale_packed_ue8m0 = 2 };

/// A scale as it is stored, and the factor that quantises with it.
struct GroupScale {
  unsigned bits;  ///< of a float, or an exponent byte
  float factor;
};

/// a / b, right to the last place but for rare halfway cases, where a or b is infinite the exact quotient.
/// Both are positive and the quotient is a normal number.
__device__ __forceinline__ float quotient(float a, float b, float reciprocal_of_b) {
  const float guess = a * reciprocal_of_b;
  const float refined = fmaf(fmaf(-guess, b, a), reciprocal_of_b, guess);
  return refined == refined ? refined : guess;
}

/// The scale of a group whose largest magnitude is `amax`, for a type that holds `largest`, a constant.
template <int Format>
__device__ __forceinline__ GroupScale group_scale(float amax, float largest) {
  const float clamped = fmaxf(amax, 1e-10f);
  const float scale = quotient(clamped, largest, 1.0f / largest);
  if constexpr (Format == scale_f32) {
    return {__float_as_uint(scale), quotient(largest, clamped, fast_reciprocal(clamped))};
  } else {
    const unsigned exponent = ue8m0_ceil(scale);
    return {Format == scale_ue8m0 ? exponent << 23 : exponent, ue8m0_inverse(exponent)};
  }
}

/// Stores the scale of group `group` of `Groups` of row `row`. The last group of a row clears the bytes that
/// fill up its word.
template <int Layout, int Format, int Groups>
__device__ __forceinline__ void store_scale(void* scales, long long stride, long long row, int group,
                                            unsigned bits) {
  if constexpr (Format == scale_packed_ue8m0) {
    unsigned char* byte = static_cast<unsigned char*>(scales) + (group / 4 * stride + row) * 4 + group % 4;
    *byte = static_cast<unsigned char>(bits);
    if (Groups % 4 != 0 && group == Groups - 1) {
#pragma unroll
      for (int i = 1; i <= 3 - (Groups - 1) % 4; ++i) {
        byte[i] = 0;
      }
    }
  } else {
    static_cast<unsigned*>(scales)[Layout == row_major ? row * stride + group : group * stride + row] = bits;
  }
}

}  // namespace kerncast::quant
