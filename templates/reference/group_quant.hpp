#pragma once

#include <functional>

#include <kerncast/ops/scale_layout.h>
#include "templates/reference/compare.hpp"
#include "templates/reference/host_rows.hpp"

/// Checks of rows quantised by groups, shared by the references of the ops that end in it.
namespace kerncast::reference {

/// MAX of a quantised type.
[[nodiscard]] double largest_of(DType type);

/// How far f32 may have carried the values and the scale from the exact ones.
struct QuantTolerance {
  double value = 0x1p-21;  ///< relative; what crosses a tie within it may round either way
  int scale_steps = 2;     ///< units in the last place of f32
};

/// `got` must be x / scale rounded to `type`. NaN, and infinity under an infinite scale, give NaN or, as an
/// integer, 0.
void check_quantised(Verdict& verdict, std::int64_t row, std::int64_t column, DType type, double got,
                     double x, double scale, const QuantTolerance& tolerance = {});

/// The scale of values whose largest magnitude is `amax`: max(amax, 1e-10) / `largest`, in ue8m0 formats
/// rounded up to a power of two.
void check_scale(Verdict& verdict, quant::ScaleFormat format, std::int64_t row, std::int64_t group,
                 double got, double amax, double largest, const QuantTolerance& tolerance = {});

/// Rows quantised in groups of `size`, against the exact values `x(row, column)`. `rows` counts the rows that
/// were to be written; `padded`: packed scales have a zero padding of rows, too, up to a multiple of 4.
void check_groups(Verdict& verdict, const std::function<double(std::int64_t, std::int64_t)>& x,
                  std::int64_t rows, const HostRows& q, const HostTensor& s, std::int64_t size,
                  quant::ScaleFormat format, const QuantTolerance& tolerance = {}, bool padded = true);

}  // namespace kerncast::reference
