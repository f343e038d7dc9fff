#pragma once

namespace kerncast::moe {

/// The form of the scales of grouped_gemm, for host and kernel alike.
enum class ScaleForm : unsigned char {
  rows,    ///< one for each row of a and for each row of b, or for many; they multiply the sums
  blocks,  ///< f32, for 128 elements of a row of a, and for 128 rows and 128 elements of b
  mxfp4,   ///< b is fp4 e2m1, with a power of two, ue8m0, for 32 elements of a row
  int4,    ///< b is integers from -8 to 7, stored plus 8, with a bf16 for 32 elements of a row
};

/// True if a byte of b holds two elements, the first in the low bits.
constexpr bool is_packed(ScaleForm form) {
  return form == ScaleForm::mxfp4 || form == ScaleForm::int4;
}

/// Elements of k whose products are added up before they are multiplied by their scales.
constexpr int scale_group(ScaleForm form) {
  return is_packed(form) ? 32 : 128;
}

/// Scales come into shared memory for so many elements of k at once: those of a row then fill a sector.
inline constexpr int scale_window = 1024;

/// Bytes of the scales of a row of packed b in a window.
constexpr int packed_scale_bytes(ScaleForm form) {
  return scale_window / 32 * (form == ScaleForm::mxfp4 ? 1 : 2);
}
/// Bytes from one row of packed b to the next in a window: 16 more, which spreads rows over the banks.
constexpr int packed_scale_stride(ScaleForm form) {
  return packed_scale_bytes(form) + 16;
}

/// Scales of a row of a in a window, and as much again as spreads rows over the banks.
inline constexpr int block_scales = scale_window / 128;
inline constexpr int block_scales_stride = block_scales + 1;

/// Blocks of 128 rows of b that a tile may touch: two halves of it may each lie across a border.
inline constexpr int most_row_blocks = 4;

}  // namespace kerncast::moe
