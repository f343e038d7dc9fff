#pragma once

#include <cstdint>

namespace kerncast::quant {

/// Where the scales of row-wise groups lie; s[t, g] belongs to group g of row t of T rows.
enum class ScaleLayout : std::uint8_t {
  row_major,                 ///< a row's scales side by side
  column_major,              ///< token stride 1
  column_major_tma_aligned,  ///< token stride 1, group stride T rounded up to 4, 16-byte aligned
};

/// What a scale is stored as.
enum class ScaleFormat : std::uint8_t {
  f32,
  ue8m0,         ///< f32, rounded up to a power of two
  packed_ue8m0,  ///< exponent bytes of powers of two, group g in byte g % 4 of the int32 of groups g / 4 * 4
                 ///< and on
};

}  // namespace kerncast::quant
