#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kerncast/dtype.hpp"
#include "kerncast/reference.hpp"

namespace kerncast::reference {

/// Result of the comparisons of one reference: the largest deviation, and the first element out of tolerance.
class Verdict {
 public:
  /// Requires that `got`, a value of `type`, is at most `steps` representable values of `type` away from
  /// `want`, which may be exact or rounded. If `want` is NaN, `got` must be NaN.
  void compare(std::string_view tensor, std::int64_t row, std::int64_t column, DType type, double got,
               double want, int steps);

  /// Like compare, if an earlier rounding allows two answers, `want` and `other`.
  void compare_either(std::string_view tensor, std::int64_t row, std::int64_t column, DType type, double got,
                      double want, double other, int steps);

  /// Like compare, if every value at most `reach` away from `want` is right: a sum, whose rounding error
  /// depends on its terms.
  void compare_within(std::string_view tensor, std::int64_t row, std::int64_t column, DType type, double got,
                      double want, double reach, int steps);

  /// Requires that `got` is one of two values of `type`, or lies between them; to the bit if they are equal.
  void compare_between(std::string_view tensor, std::int64_t row, std::int64_t column, DType type, double got,
                       double one, double other);

  /// Records a failure at an element. `what` follows its position in the detail: "is padding, but not 0".
  void fail(std::string_view tensor, std::int64_t row, std::int64_t column, const std::string& what);

  /// Records a deviation that is within tolerance.
  void note(double error) { max_error_ = error > max_error_ ? error : max_error_; }

  [[nodiscard]] ReferenceResult result() const;

 private:
  double max_error_ = 0;
  std::int64_t failures_ = 0;
  std::string detail_;
};

}  // namespace kerncast::reference
