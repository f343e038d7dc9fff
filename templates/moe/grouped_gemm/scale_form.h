#pragma once

namespace kerncast::moe {

/// The form of the scales of grouped_gemm, for host and kernel alike.
enum class ScaleForm : unsigned char {
  rows,    ///< one for each row of a and for each row of b, or for many; they multiply the sums
  blocks,  ///< f32, for 128 elements of a row of a, and for 128 rows and 128 elements of b
};

/// Elements of k whose products are added up before they are multiplied by their scales.
constexpr int scale_group(ScaleForm) {
  return 128;
}

/// Scales come into shared memory for so many elements of k at once: those of a row then fill a sector.
inline constexpr int scale_window = 1024;

/// Scales of a row of a in a window, and as much again as spreads rows over the banks.
inline constexpr int block_scales = scale_window / 128;
inline constexpr int block_scales_stride = block_scales + 1;

/// Blocks of 128 rows of b that a tile may touch: two halves of it may each lie across a border.
inline constexpr int most_row_blocks = 4;

}  // namespace kerncast::moe
