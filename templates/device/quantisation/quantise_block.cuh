#pragma once

#include "device/formats/e2m1.cuh"
#include "device/quantisation/block_scale.cuh"
#include "device/quantisation/quantise.cuh"

/// Quantisation of a row by blocks of 16 or 32 values with a scale byte each, as the last stage of a kernel
/// that holds a row.
namespace kerncast {

/// fp8 with a power of two per block of 32 (OCP Microscaling Formats 1.0).
template <class Quantised>
struct Mxfp8Blocks {
  using Q = Quantised;
  static constexpr int block = 32;
  static constexpr bool fp4 = false;
  template <int Count>
  __device__ __forceinline__ static Scale scale(float amax, float, float*) {
    return scale_of<quant::ScaleFormat::packed_ue8m0>(amax, max_of<Q>);
  }
};

/// e2m1 with a power of two per block of 32.
struct Mxfp4Blocks {
  static constexpr int block = 32;
  static constexpr bool fp4 = true;
  template <int Count>
  __device__ __forceinline__ static Scale scale(float amax, float, float*) {
    return scale_of<quant::ScaleFormat::packed_ue8m0>(amax, 6.0f);
  }
};

/// e2m1 with an e4m3 scale per block of 16 under a global scale.
struct Nvfp4Blocks {
  static constexpr int block = 16;
  static constexpr bool fp4 = true;
  template <int Count>
  __device__ __forceinline__ static Scale scale(float amax, float global_scale, float* values) {
    return nvfp4_scale<Count>(amax, global_scale, values);
  }
};

/// Neighbouring values of a block that a thread takes, of which it loads `width` at once.
template <class Format>
constexpr int block_share(int width) {
  const int share = group_share(width, Format::block);
  return Format::fp4 && share < 2 ? 2 : share;
}

/// The outputs. Strides are in elements. Rows from `rows` to `padded_rows` are padding: only their scales are
/// written, as 0.
struct BlockQuantisedRows {
  void* q;
  void* s;
  long long q_stride;
  long long s_stride;  ///< of the linear layout
  long long rows;
  long long padded_rows;
  float global_scale;
};

/// Quantises and stores `Count` values of row `row`, of `Hidden` elements, from `column` on, and the scales
/// of their blocks. Format::block / Count neighbouring lanes hold a block. All lanes of a warp must take
/// part, each with any row.
template <class Format, quant::SfLayout Layout, int Hidden, int Count, int Stored>
__device__ __forceinline__ void quantise_block(const BlockQuantisedRows& out, float* values, long long row,
                                               int column) {
  constexpr int blocks = Hidden / Format::block;
  const Max amax = reduce_lanes<Format::block / Count>(largest_magnitude<Count>(values));
  const Scale scale = Format::template scale<Count>(amax.value, out.global_scale, values);
  const bool active = row < out.rows;
  if (active) {
    if constexpr (Format::fp4) {
#pragma unroll
      for (int i = 0; i < Count; ++i) {
        values[i] *= scale.factor;
      }
      store_e2m1<Count>(static_cast<unsigned char*>(out.q) + row * out.q_stride + column / 2, values);
    } else {
      using Q = typename Format::Q;
      store_quantised<Q, Count, Stored>(static_cast<Q*>(out.q) + row * out.q_stride + column, values,
                                        scale.factor);
    }
  }
  if (column % Format::block == 0 && row < out.padded_rows) {
    const int block = column / Format::block;
    constexpr int padded = (blocks + 3) / 4 * 4;
    constexpr bool swizzled = Layout == quant::SfLayout::swizzled;
    const auto within = static_cast<int>(row % 128);
    unsigned char* s =
        static_cast<unsigned char*>(out.s) + (swizzled ? (row / 128 * (padded / 4) + block / 4) * 512 +
                                                             within % 32 * 16 + within / 32 * 4 + block % 4
                                                       : row * out.s_stride + block);
    *s = static_cast<unsigned char>(active ? scale.bits : 0u);
    // The last block of a row clears the padding up to four.
    if (swizzled && padded > blocks && block == blocks - 1) {
#pragma unroll
      for (int i = 1; i <= padded - blocks; ++i) {
        s[i] = 0;
      }
    }
  }
}

}  // namespace kerncast
