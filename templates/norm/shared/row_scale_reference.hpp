#pragma once

namespace kerncast::reference {

/// The factor of a normalised row.
struct RowScale {
  double scale;
  /// The sum, though not its mean, is past the range of f32: elements may become 0.
  bool may_vanish;
};

/// 1 / sqrt(squares / count + eps), within the range of f32: 0 for a mean past it, and nothing below its
/// least normal number.
[[nodiscard]] RowScale row_scale(double squares, double count, double eps);

}  // namespace kerncast::reference
