#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "templates/norm/rms_norm_params.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_float.hpp"
#include "templates/reference/host_rows.hpp"

namespace kerncast::ops {

ReferenceResult norm_rms_norm_reference(const ReferenceInput& input);

ReferenceResult norm_rms_norm_reference(const ReferenceInput& input) {
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows y(reference::require(input, "y"));
  std::optional<reference::HostRows> weight;
  if (const HostTensor* tensor = input.tensor("weight")) {
    weight.emplace(*tensor);
  }
  const bool hf_rounding = input.spec[norm::rms_norm_params::hf_rounding] != 0;
  // The kernel takes its scalars as floats.
  const double eps = static_cast<float>(input.scalar("eps", 1e-6));
  const double offset = static_cast<float>(input.scalar("weight_offset", 0.0));

  reference::Verdict verdict;
  if (y.rows() != x.rows() || y.width() != x.width()) {
    verdict.fail("y", 0, 0, "has another shape than x");
    return verdict.result();
  }
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    double squares = 0;
    for (std::int64_t i = 0; i < x.width(); ++i) {
      squares += x(row, i) * x(row, i);
    }
    // Past the range of f32 the mean is infinite and finite elements become 0. Where only the sum is past it,
    // they may.
    const double mean = squares / static_cast<double>(x.width());
    constexpr double largest = std::numeric_limits<float>::max();
    const bool may_vanish = squares > largest && std::isfinite(squares);
    const double total = mean > largest ? std::numeric_limits<double>::infinity() : mean + eps;
    constexpr double least = std::numeric_limits<float>::min();
    const double scale = 1.0 / std::sqrt(total < least ? least : total);
    for (std::int64_t i = 0; i < x.width(); ++i) {
      const double gain = weight ? (*weight)(0, i) + offset : 1.0;
      const double normal = x(row, i) * scale;
      if (may_vanish && y(row, i) == 0) {
        continue;
      }
      if (hf_rounding) {
        // In f32 the value before its first rounding may fall on the other side of a tie of a narrower type.
        const double slack = x.dtype() == DType::f32 ? 0.0 : 0x1p-21;
        const double low = reference::rounded(x.dtype(), normal * (1.0 - slack)) * gain;
        const double high = reference::rounded(x.dtype(), normal * (1.0 + slack)) * gain;
        verdict.compare_either("y", row, i, y.dtype(), y(row, i), low, high, 1);
      } else {
        verdict.compare("y", row, i, y.dtype(), y(row, i), normal * gain, 1);
      }
    }
  }
  return verdict.result();
}

}  // namespace kerncast::ops
