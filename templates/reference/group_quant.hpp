#pragma once

#include <functional>

#include <kerncast/ops/scale_layout.h>
#include "templates/reference/compare.hpp"
#include "templates/reference/host_rows.hpp"

/// Checks of quantised values and their scales, which the references of all quantising ops share.
namespace kerncast::reference {

/// The largest magnitude of a quantised type: MAX in the formulas.
[[nodiscard]] double largest_of(DType type);

/// Error that f32 arithmetic may leave in the values and in the scale.
struct QuantTolerance {
  double value = 0x1p-21;  ///< relative; a value this close to a tie may round either way
  int scale_steps = 2;     ///< units in the last place of f32
};

/// Requires that `got` is x / scale rounded to `type`. NaN, and infinity with an infinite scale, give NaN, or
/// 0 if `type` is an integer.
void check_quantised(Verdict& verdict, std::int64_t row, std::int64_t column, DType type, double got,
                     double x, double scale, const QuantTolerance& tolerance = {});

/// Requires that `got` is the scale of values whose largest magnitude is `amax`: max(amax, 1e-10) /
/// `largest`, rounded up to a power of two in the ue8m0 formats.
void check_scale(Verdict& verdict, quant::ScaleFormat format, std::int64_t row, std::int64_t group,
                 double got, double amax, double largest, const QuantTolerance& tolerance = {});

/// Checks `rows` rows that were quantised in groups of `size` against the exact values `x(row, column)`. If
/// `padded`, packed scales must also be 0 in the rows up to the next multiple of 4.
void check_groups(Verdict& verdict, const std::function<double(std::int64_t, std::int64_t)>& x,
                  std::int64_t rows, const HostRows& q, const HostTensor& s, std::int64_t size,
                  quant::ScaleFormat format, const QuantTolerance& tolerance = {}, bool padded = true);

}  // namespace kerncast::reference
