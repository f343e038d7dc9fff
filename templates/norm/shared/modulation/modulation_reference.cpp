#include "templates/norm/shared/modulation/modulation_reference.hpp"

#include <cmath>
#include <limits>

#include <kerncast/ops/norm/aten_rounding.h>
#include "templates/norm/scale_shift/spec_index.hpp"
#include "templates/norm/shared/row_scale_reference.hpp"
#include "templates/reference/host_float.hpp"
#include "templates/reference/host_rows.hpp"
#include "templates/reference/torch_operator.hpp"

namespace kerncast::reference {
namespace {

using norm::AtenRounding;

/// The operands of one element; neutral where a tensor is absent.
struct Operands {
  double weight;
  double bias;
  double scale;
  double shift;
};

Operands operands_of(const ReferenceInput& input, std::int64_t rows, std::int64_t row, std::int64_t column) {
  return {.weight = spread(input, "weight", rows, 0, column, 1.0),
          .bias = spread(input, "bias", rows, 0, column, 0.0),
          .scale = spread(input, "scale", rows, row, column, 0.0),
          .shift = spread(input, "shift", rows, row, column, 0.0)};
}

/// The operators that eager torch has between the norm and y, each with its rounding.
class AtenSteps {
 public:
  AtenSteps(const ReferenceInput& input, DType row_type, DType y_type)
      : rounding_(static_cast<AtenRounding>(input.spec[norm::scale_shift_params::aten_rounding])),
        weight_(input.tensor("weight")),
        bias_(input.tensor("bias")),
        scale_(input.tensor("scale")),
        shift_(input.tensor("shift")),
        norm_(rounding_ == AtenRounding::f32_norm ? DType::f32
              : is_split() && weight_ != nullptr  ? weight_->dtype
                                                  : row_type),
        y_(y_type) {}

  [[nodiscard]] bool present() const { return rounding_ != AtenRounding::none; }
  /// True if weight and bias are operators of their own.
  [[nodiscard]] bool is_split() const { return rounding_ == AtenRounding::split_norm; }

  /// y from the exact value of the operator that normalises.
  [[nodiscard]] double y_of(double exact, const Operands& with) const {
    double value = operator_result(norm_, exact);
    if (is_split() && weight_ != nullptr) {
      value = operator_result(norm_, value * with.weight);
    }
    if (is_split() && bias_ != nullptr) {
      value = operator_result(norm_, value + with.bias);
    }
    DType type = norm_;
    if (scale_ != nullptr) {
      type = promoted(type, scale_->dtype);
      value = operator_result(type, value * operator_result(scale_->dtype, 1.0 + with.scale));
    }
    if (shift_ != nullptr) {
      type = promoted(type, shift_->dtype);
      value = operator_result(type, value + with.shift);
    }
    return operator_result(y_, value);
  }

 private:
  AtenRounding rounding_;
  const HostTensor* weight_;
  const HostTensor* bias_;
  const HostTensor* scale_;
  const HostTensor* shift_;
  DType norm_;
  DType y_;
};

/// Mean, deviations from it, and the factor of a row.
struct Centred {
  double mean = 0;
  double squares = 0;
  std::vector<double> deviations;
};

Centred centred_row(const std::vector<double>& values, bool layer, bool wide) {
  Centred made{.deviations = values};
  for (const double value : values) {
    made.mean += layer ? value : 0.0;
  }
  made.mean /= static_cast<double>(values.size());
  for (double& deviation : made.deviations) {
    deviation -= made.mean;
    made.squares += deviation * deviation;
    // The arithmetic of an f32 result is double.
    deviation = wide ? deviation : within_f32(deviation);
  }
  return made;
}

}  // namespace

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
                     const std::vector<double>& values, DType row_type) {
  const HostRows y(require(input, "y"));
  const AtenSteps steps(input, row_type, y.dtype());
  const bool layer = input.spec[norm::scale_shift_params::norm] == 0;
  const bool wide = y.dtype() == DType::f32;
  const Centred centred = centred_row(values, layer, wide);
  const auto count = static_cast<double>(values.size());
  const double factor = row_scale(centred.squares, count, static_cast<float>(input.scalar("eps", 1e-6)));
  // The tolerance of the sums, and of the mean that is subtracted, is the precision of f32 for their terms,
  // and far less if y is f32. Means and deviations are multiples of the least float, which is all that counts
  // in a row of subnormal numbers.
  //
  // Between roundings of torch the value of the norm may be on either side of a tie, but no further than it
  // can err: by 30 roundings in a row of the longest sum, half of which the root keeps, by 2^-22.9 of the
  // approximate root, and by 6 roundings of its own; and the mean by 30 roundings of deviations. Both are
  // less than 32 * 2^-24.
  const double slack = steps.present() ? 0x1p-19 : wide ? 0x1p-42 : 0x1p-22;
  const double mean_slack = !layer ? 0.0
                                   : (steps.present() ? 0x1p-19
                                      : wide          ? 0x1p-44
                                                      : 0x1p-24) *
                                             std::sqrt(centred.squares / count) +
                                         0x1p-44 * std::fabs(centred.mean) + 0x1p-149;
  for (std::int64_t i = 0; i < y.width(); ++i) {
    const Operands with = operands_of(input, rows, row, i);
    const double normal = centred.deviations[static_cast<std::size_t>(i)] * factor;
    if (steps.present()) {
      const double weight = steps.is_split() ? 1.0 : with.weight;
      const double bias = steps.is_split() ? 0.0 : with.bias;
      const double exact = normal * weight + bias;
      const double reach =
          slack * (std::fabs(normal * weight) + std::fabs(bias)) + mean_slack * factor * std::fabs(weight);
      verdict.compare_between("y", row, i, y.dtype(), y(row, i), steps.y_of(exact - reach, with),
                              steps.y_of(exact + reach, with));
      continue;
    }
    const double gain = 1.0 + with.scale;
    const double scaled = normal * with.weight;
    const double reach = slack * ((std::fabs(scaled) + std::fabs(with.bias)) * (1.0 + std::fabs(with.scale)) +
                                  std::fabs(with.shift)) +
                         mean_slack * factor * std::fabs(with.weight * gain);
    verdict.compare_within("y", row, i, y.dtype(), y(row, i), scaled * gain + (with.bias * gain + with.shift),
                           reach, 1);
  }
}

}  // namespace kerncast::reference
