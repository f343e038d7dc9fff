#include "templates/norm/shared/quantised_reference.hpp"

#include <cmath>

#include <kerncast/ops/norm/quantised_norm.hpp>
#include "templates/norm/rms_norm_quant/spec_index.hpp"
#include "templates/reference/group_quant.hpp"

namespace kerncast::reference {
namespace {

using norm::Scaling;

/// A normalised value is off by up to two units in its last place: a half each for the rounding of the gain
/// and of the product, and one for the squares of a row, which f32 sums up by parts, and of whose error the
/// root keeps half. Divided by MAX, that is up to 2 * 512 / 448 steps of a scale, and a half each for the
/// rounding of the op's quotient and of the reference's: less than 4.
constexpr QuantTolerance tolerance{.value = 0x1p-21, .scale_steps = 3};

/// All rows, normalised.
std::vector<std::vector<double>> normalised(const RmsNormReference& norm, std::int64_t rows,
                                            const std::function<std::vector<double>(std::int64_t)>& row) {
  std::vector<std::vector<double>> all;
  for (std::int64_t i = 0; i < rows; ++i) {
    std::vector<double> values = row(i);
    const double scale = norm.scale(values);
    for (std::size_t column = 0; column < values.size(); ++column) {
      values[column] *= scale * norm.gain(static_cast<std::int64_t>(column));
    }
    all.push_back(std::move(values));
  }
  return all;
}

}  // namespace

void check_quantised_norm(Verdict& verdict, const ReferenceInput& input, const HostRows& x,
                          const std::function<std::vector<double>(std::int64_t)>& row) {
  const RmsNormReference norm(input);
  const HostRows q(require(input, "q"));
  if (q.rows() != x.rows() || q.width() != x.width()) {
    verdict.fail("q", 0, 0, "has another shape than x");
    return;
  }
  if (input.spec[norm::rms_norm_quant_params::has_y] != 0) {
    const HostRows y(require(input, "y"));
    for (std::int64_t i = 0; i < x.rows(); ++i) {
      const std::vector<double> values = row(i);
      norm.check(verdict, i, values, norm.scale(values), y, std::nullopt);
    }
  }
  const std::vector<std::vector<double>> values = normalised(norm, x.rows(), row);
  const auto value = [&](std::int64_t i, std::int64_t column) {
    return values[static_cast<std::size_t>(i)][static_cast<std::size_t>(column)];
  };
  const auto scaling = static_cast<Scaling>(input.spec[norm::rms_norm_quant_params::scaling]);
  if (scaling == Scaling::per_group) {
    check_groups(
        verdict, value, x.rows(), q, require(input, "s"), input.spec[norm::rms_norm_quant_params::group],
        static_cast<quant::ScaleFormat>(input.spec[norm::rms_norm_quant_params::scale_format]), tolerance);
    return;
  }
  const bool is_static = scaling == Scaling::per_tensor;
  const HostRows s(require(input, is_static ? "scale" : "s"));
  for (std::int64_t i = 0; i < x.rows(); ++i) {
    const double scale = s(is_static ? 0 : i, 0);
    if (!is_static) {
      double amax = 0;
      for (const double element : values[static_cast<std::size_t>(i)]) {
        amax = std::fmax(amax, std::fabs(element));
      }
      check_scale(verdict, quant::ScaleFormat::f32, i, 0, scale, amax, largest_of(q.dtype()), tolerance);
    }
    for (std::int64_t column = 0; column < q.width(); ++column) {
      check_quantised(verdict, i, column, q.dtype(), q(i, column), value(i, column), scale, tolerance);
    }
  }
}

}  // namespace kerncast::reference
