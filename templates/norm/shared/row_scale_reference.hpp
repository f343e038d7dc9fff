#pragma once

namespace kerncast::reference {

/// The factor of a normalised row.
struct RowScale {
  double scale;
  /// The sum is past the range of f32: elements may become 0.
  bool may_vanish;
};

/// 1 / sqrt(squares / count + eps) as far as f32 represents it: 0 if the mean is past its range; a total
/// below its least normal number counts as that number.
[[nodiscard]] RowScale row_scale(double squares, double count, double eps);

}  // namespace kerncast::reference
