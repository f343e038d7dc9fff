#include "templates/norm/shared/quantised/quantised_reference.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <kerncast/ops/norm/quantised_norm.hpp>
#include "templates/norm/rms_norm_quant/spec_index.hpp"
#include "templates/reference/block_scaled.hpp"
#include "templates/reference/group_quant.hpp"
#include "templates/reference/host_float.hpp"

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

/// Checks rows that were quantised by blocks with a scale byte each.
class BlockCheck {
 public:
  using Value = std::function<double(std::int64_t, std::int64_t)>;

  BlockCheck(Verdict& verdict, const ReferenceInput& input, Scaling scaling)
      : verdict_(verdict),
        scaling_(scaling),
        fp4_(scaling != Scaling::mxfp8),
        q_(require(input, "q")),
        s_tensor_(require(input, "s")),
        s_(s_tensor_),
        layout_(static_cast<quant::SfLayout>(input.spec[norm::rms_norm_quant_params::sf_layout])),
        global_(scaling == Scaling::nvfp4 ? decode(DType::f32, require(input, "global_scale").bytes.data())
                                          : 1.0) {}

  void run(const Value& value, std::int64_t rows, std::int64_t width) {
    const std::int64_t size = scaling_ == Scaling::nvfp4 ? 16 : 32;
    if (q_.rows() != rows || q_.width() * (fp4_ ? 2 : 1) != width) {
      verdict_.fail("q", 0, 0, "has a shape that does not match x");
      return;
    }
    std::vector<bool> written(s_tensor_.bytes.size(), false);
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t block = 0; block < width / size; ++block) {
        const std::int64_t byte = scale_byte(s_, layout_, row, block);
        written.at(static_cast<std::size_t>(byte)) = true;
        check(value, row, block, size, decode(s_tensor_.dtype, s_tensor_.bytes.data() + byte));
      }
    }
    for (std::size_t byte = 0; layout_ == quant::SfLayout::swizzled && byte < written.size(); ++byte) {
      if (!written[byte] && s_tensor_.bytes[byte] != std::byte{0}) {
        verdict_.fail("s", 0, static_cast<std::int64_t>(byte), "is padding, but not 0");
      }
    }
  }

 private:
  /// A value that is a hair larger or smaller, as the norm may give it.
  static constexpr double more = 1.0 + 0x1p-20;
  static constexpr double less = 1.0 - 0x1p-20;

  void check(const Value& value, std::int64_t row, std::int64_t block, std::int64_t size, double scale) {
    double amax = 0;
    for (std::int64_t i = block * size; i < (block + 1) * size; ++i) {
      amax = std::fmax(amax, std::fabs(value(row, i)));
    }
    if (scaling_ == Scaling::nvfp4) {
      const double exact = global_ * amax / 6.0;
      verdict_.compare_either("s", row, block, DType::fp8_e4m3, scale, rounded(DType::fp8_e4m3, exact * less),
                              rounded(DType::fp8_e4m3, exact * more), 0);
    } else {
      check_power(row, block, scale, std::max(amax, static_cast<double>(1e-10F)));
    }
    for (std::int64_t i = block * size; i < (block + 1) * size; ++i) {
      check_value(row, i, value(row, i), scale);
    }
  }

  void check_power(std::int64_t row, std::int64_t block, double scale, double amax) {
    const double exact = amax / (fp4_ ? 6.0 : largest_of(q_.dtype()));
    const double low = std::min(std::exp2(std::ceil(std::log2(exact * less))), 0x1p127);
    const double high = std::min(std::exp2(std::ceil(std::log2(exact * more))), 0x1p127);
    if (scale != low && scale != high) {
      verdict_.fail("s", row, block, fmt::format("is {}, expected {} of {}", scale, low, amax));
    }
  }

  void check_value(std::int64_t row, std::int64_t column, double value, double scale) {
    // A scale of 0 gives zeros, but NaN stays NaN under any scale.
    const double exact = scale == 0.0 && !std::isnan(value) ? 0.0
                         : scale == 0.0                     ? value
                                                            : value * global_ / scale;
    const double got = block_value(q_, fp4_, row, column);
    if (!fp4_) {
      check_quantised(verdict_, row, column, q_.dtype(), got, exact, 1.0, tolerance);
      return;
    }
    const double low = rounded_to_e2m1(exact * less);
    const double high = rounded_to_e2m1(exact * more);
    if (got != low && got != high) {
      verdict_.fail("q", row, column, fmt::format("is {}, expected {} of {}", got, low, exact));
    }
  }

  Verdict& verdict_;
  Scaling scaling_;
  bool fp4_;
  HostRows q_;
  const HostTensor& s_tensor_;
  HostRows s_;
  quant::SfLayout layout_;
  double global_;
};

}  // namespace

void check_quantised_norm(Verdict& verdict, const ReferenceInput& input, const HostRows& x,
                          const std::function<std::vector<double>(std::int64_t)>& row) {
  const RmsNormReference norm(input);
  const auto scaling = static_cast<Scaling>(input.spec[norm::rms_norm_quant_params::scaling]);
  const bool by_blocks = scaling > Scaling::per_group;
  const HostRows q(require(input, "q"));
  if (!by_blocks && (q.rows() != x.rows() || q.width() != x.width())) {
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
  if (by_blocks) {
    BlockCheck(verdict, input, scaling).run(value, x.rows(), x.width());
    return;
  }
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
