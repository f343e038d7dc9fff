#pragma once

#include <cstdint>

#include <kerncast/ops/scale_layout.h>
#include "templates/reference/compare.hpp"
#include "templates/reference/host_rows.hpp"

/// Values and scales of the block-scaled formats: fp4 e2m1, and one scale byte per block.
namespace kerncast::reference {

/// The value of the e2m1 code in the low four bits of `nibble`.
[[nodiscard]] double decode_e2m1(unsigned nibble);

/// `value` rounded to the nearest e2m1 value, ties to even, saturating at 6. NaN becomes 6.
[[nodiscard]] double rounded_to_e2m1(double value);

/// Element `column` of row `row` of `q`, which holds two e2m1 values per byte if `fp4`.
[[nodiscard]] double block_value(const HostRows& q, bool fp4, std::int64_t row, std::int64_t column);

/// Byte offset, in the storage of `sf`, of the scale of block `block` of row `row`.
[[nodiscard]] std::int64_t scale_byte(const HostRows& sf, quant::SfLayout layout, std::int64_t row,
                                      std::int64_t block);

}  // namespace kerncast::reference
