#include "templates/norm/shared/modulation_reference.hpp"

#include <cmath>
#include <limits>

#include "templates/norm/scale_shift/spec_index.hpp"
#include "templates/norm/shared/row_scale_reference.hpp"
#include "templates/reference/host_float.hpp"
#include "templates/reference/host_rows.hpp"

namespace kerncast::reference {

double spread(const ReferenceInput& input, std::string_view name, std::int64_t rows, std::int64_t row,
              std::int64_t column, double otherwise) {
  const HostTensor* tensor = input.tensor(name);
  if (tensor == nullptr) {
    return otherwise;
  }
  const HostRows own(*tensor);
  return own.rows() * own.width() == 1 ? own(0, 0) : own(row / (rows / own.rows()), column);
}

void check_modulated(Verdict& verdict, const ReferenceInput& input, std::int64_t rows, std::int64_t row,
                     const std::vector<double>& values) {
  const HostRows y(require(input, "y"));
  const bool centred = input.spec[norm::scale_shift_params::norm] == 0;
  const auto count = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) {
    sum += value;
  }
  const double mean = centred ? sum / count : 0.0;
  double squares = 0;
  std::vector<double> deviations = values;
  for (double& deviation : deviations) {
    deviation -= mean;
    squares += deviation * deviation;
    // The arithmetic of an f32 result is double.
    deviation = y.dtype() == DType::f32 ? deviation : within_f32(deviation);
  }
  const double factor = row_scale(squares, count, static_cast<float>(input.scalar("eps", 1e-6)));
  // The tolerance of the sums, and of the mean that is subtracted, is the precision of f32 for their terms,
  // and far less if y is f32. Means and deviations are multiples of the least float, which is all that counts
  // in a row of subnormal numbers.
  const bool wide = y.dtype() == DType::f32;
  const double slack = wide ? 0x1p-42 : 0x1p-22;
  const double mean_slack =
      centred ? (wide ? 0x1p-44 : 0x1p-24) * std::sqrt(squares / count) + 0x1p-44 * std::fabs(mean) + 0x1p-149
              : 0.0;
  for (std::int64_t i = 0; i < y.width(); ++i) {
    const double weight = spread(input, "weight", rows, 0, i, 1.0);
    const double bias = spread(input, "bias", rows, 0, i, 0.0);
    const double gain = 1.0 + spread(input, "scale", rows, row, i, 0.0);
    const double shift = spread(input, "shift", rows, row, i, 0.0);
    const double scaled = deviations[static_cast<std::size_t>(i)] * factor * weight;
    const double rest = bias * gain + shift;
    const double got = y(row, i);
    const double reach =
        slack * ((std::fabs(scaled) + std::fabs(bias)) * (1.0 + std::fabs(gain - 1.0)) + std::fabs(shift)) +
        mean_slack * factor * std::fabs(weight * gain);
    verdict.compare_within("y", row, i, y.dtype(), got, scaled * gain + rest, reach, 1);
  }
}

}  // namespace kerncast::reference
