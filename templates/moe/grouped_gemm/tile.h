#pragma once

#include "moe/grouped_gemm/scale_form.h"

namespace kerncast::moe {

/// The sizes that follow from a kernel's types and tunables, for host and kernel alike. Rows are those of c;
/// columns are rows of b.
struct GemmTile {
  int rows;
  int columns;
  int a_row_bytes;  ///< bytes of a row of a in a stage of the pipeline
  int b_row_bytes;
  int stages;
  int warps;
  ScaleForm form;
  int warps_along_rows;
  int warps_along_columns;

  constexpr GemmTile(int tile_rows, int tile_columns, int row_bytes_of_a, int row_bytes_of_b,
                     int pipeline_stages, int all_warps, ScaleForm scale_form = ScaleForm::rows)
      : rows(tile_rows),
        columns(tile_columns),
        a_row_bytes(row_bytes_of_a),
        b_row_bytes(row_bytes_of_b),
        stages(pipeline_stages),
        warps(all_warps),
        form(scale_form),
        warps_along_rows(1),
        warps_along_columns(all_warps) {
    // The parts of the warps are as square as they can be, so that few matrices are read per product.
    while (warps_along_columns > 1 && warps_along_rows * 16 <= rows &&
           (columns < 16 * warps_along_columns ||
            rows * warps_along_columns >= 2 * columns * warps_along_rows)) {
      warps_along_columns /= 2;
      warps_along_rows *= 2;
    }
  }

  /// Rows and columns of the part of one warp.
  constexpr int warp_rows() const { return rows / warps_along_rows; }
  constexpr int warp_columns() const { return columns / warps_along_columns; }
  /// True if every warp has whole products of 16 columns and 8 rows.
  constexpr bool is_whole() const {
    return columns % (16 * warps_along_columns) == 0 && rows % (8 * warps_along_rows) == 0;
  }

  constexpr int stage_bytes() const { return rows * a_row_bytes + columns * b_row_bytes; }
  /// Floats between the sums of two rows: 4 more than columns, which spreads a warp's stores over all banks.
  constexpr int sums_stride() const { return columns + 4; }
  /// Bytes of the stages, and then in their place of the sums.
  constexpr int pipeline_bytes() const {
    const int pipeline = stages * stage_bytes();
    const int sums = 4 * rows * sums_stride();
    return pipeline > sums ? pipeline : sums;
  }
  /// Bytes of a window of the scales that are read beside the stages.
  constexpr int window_bytes() const {
    return form == ScaleForm::blocks ? 4 * (rows + most_row_blocks) * block_scales_stride
           : is_packed(form)         ? columns * packed_scale_stride(form)
                                     : 0;
  }
  /// Dynamic shared memory: the stages or sums, two windows of scales, the slot of each row.
  constexpr int shared_bytes() const { return pipeline_bytes() + 2 * window_bytes() + 4 * rows; }
};

}  // namespace kerncast::moe
