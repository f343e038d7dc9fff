#pragma once

#include <cstdint>

#include <kerncast/ops/scale_layout.h>
#include "templates/reference/compare.hpp"
#include "templates/reference/host_rows.hpp"

/// Rows of blocks that share a scale of a byte, as tensor cores take them.
namespace kerncast::reference {

/// The value of the fp4 e2m1 in the low four bits.
[[nodiscard]] double decode_e2m1(unsigned nibble);

/// `value` rounded to e2m1, ties to even, saturating at 6; NaN becomes 6.
[[nodiscard]] double rounded_to_e2m1(double value);

/// Element `column` of row `row` of `q`, two e2m1 to a byte or one value of q's own type.
[[nodiscard]] double block_value(const HostRows& q, bool fp4, std::int64_t row, std::int64_t column);

/// Where the scale of block `block` of row `row` lies in the storage of `sf`, in bytes.
[[nodiscard]] std::int64_t scale_byte(const HostRows& sf, quant::SfLayout layout, std::int64_t row,
                                      std::int64_t block);

}  // namespace kerncast::reference
