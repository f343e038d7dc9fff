#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kerncast/dtype.hpp"
#include "kerncast/reference.hpp"

namespace kerncast::reference {

/// Collects the comparisons of one reference: the worst deviation, and the first element out of tolerance.
class Verdict {
 public:
  /// `got`, a value of `type`, must lie within `steps` values of `type` from `want`, which is exact or
  /// rounded. NaN wants NaN.
  void compare(std::string_view tensor, std::int64_t row, std::int64_t column, DType type, double got,
               double want, int steps);

  /// As above where rounding upstream leaves two acceptable answers.
  void compare_either(std::string_view tensor, std::int64_t row, std::int64_t column, DType type, double got,
                      double want, double other, int steps);

  /// As above where any value at most `reach` from `want` is acceptable: sums, of which rounding leaves as
  /// much as their terms allow.
  void compare_within(std::string_view tensor, std::int64_t row, std::int64_t column, DType type, double got,
                      double want, double reach, int steps);

  /// Records an element that breaks a rule of its own.
  void fail(std::string_view tensor, std::int64_t row, std::int64_t column, const std::string& what);

  /// Records a deviation within tolerance.
  void note(double error) { max_error_ = error > max_error_ ? error : max_error_; }

  [[nodiscard]] ReferenceResult result() const;

 private:
  double max_error_ = 0;
  std::int64_t failures_ = 0;
  std::string detail_;
};

}  // namespace kerncast::reference
