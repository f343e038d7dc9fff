#include <cmath>
#include <limits>

#include "templates/host/define_op.hpp"
#include "templates/norm/shared/rms_reference.hpp"
#include "templates/reference/host_float.hpp"

KERNCAST_REFERENCE(norm, layer_norm) {
  const reference::HostRows x(reference::require(input, "x"));
  const reference::HostRows y(reference::require(input, "y"));
  const auto vector = [&](const char* name) {
    const HostTensor* tensor = input.tensor(name);
    return tensor == nullptr ? std::nullopt : std::optional<reference::HostRows>(*tensor);
  };
  const std::optional<reference::HostRows> weight = vector("weight");
  const std::optional<reference::HostRows> bias = vector("bias");
  const double eps = static_cast<float>(input.scalar("eps", 1e-6));
  // An element is a sum, and so is the mean that is subtracted from it. The tolerance of both is the
  // precision of f32 for their terms, and far less if the result is f32. Means and deviations are multiples
  // of the least float, which is all that counts in a row of subnormal numbers.
  const bool wide = y.dtype() == DType::f32;
  const double slack = wide ? 0x1p-44 : 0x1p-22;
  const double mean_slack = wide ? 0x1p-44 : 0x1p-24;

  reference::Verdict verdict;
  if (y.rows() != x.rows() || y.width() != x.width()) {
    verdict.fail("y", 0, 0, "has another shape than x");
    return verdict.result();
  }
  const auto count = static_cast<double>(x.width());
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    std::vector<double> values = reference::row_values(x, row);
    double sum = 0;
    for (const double value : values) {
      sum += value;
    }
    const double mean = sum / count;
    double squares = 0;
    for (double& value : values) {
      value -= mean;
      squares += value * value;
      value = reference::within_f32(value);
    }
    const double scale = reference::row_scale(squares, count, eps);
    for (std::int64_t i = 0; i < x.width(); ++i) {
      const double gain = weight ? (*weight)(0, i) : 1.0;
      const double shift = bias ? (*bias)(0, i) : 0.0;
      const double scaled = values[static_cast<std::size_t>(i)] * scale * gain;
      const double want = scaled + shift;
      const double reach = slack * (std::fabs(scaled) + std::fabs(shift)) +
                           (mean_slack * std::sqrt(squares / count) + 0x1p-44 * std::fabs(mean) + 0x1p-149) *
                               scale * std::fabs(gain);
      verdict.compare_within("y", row, i, y.dtype(), y(row, i), want, reach, 1);
    }
  }
  return verdict.result();
}
