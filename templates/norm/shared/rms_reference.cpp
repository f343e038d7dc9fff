#include "templates/norm/shared/rms_reference.hpp"

#include <cmath>

#include "templates/reference/host_float.hpp"
#include "templates/reference/torch_operator.hpp"

namespace kerncast::reference {

std::vector<double> row_values(const HostRows& rows, std::int64_t row) {
  std::vector<double> values(static_cast<std::size_t>(rows.width()));
  for (std::int64_t i = 0; i < rows.width(); ++i) {
    values[static_cast<std::size_t>(i)] = rows(row, i);
  }
  return values;
}

double sum_of_squares(const std::vector<double>& values) {
  double squares = 0;
  for (const double value : values) {
    squares += value * value;
  }
  return squares;
}

bool same_shape(Verdict& verdict, const HostRows& x, const HostRows& y) {
  if (y.rows() == x.rows() && y.width() == x.width()) {
    return true;
  }
  verdict.fail("y", 0, 0, "has another shape than x");
  return false;
}

void check_scaled(Verdict& verdict, std::int64_t row, const std::vector<double>& values, double factor,
                  const HostRows& y) {
  for (std::int64_t i = 0; i < y.width(); ++i) {
    verdict.compare("y", row, i, y.dtype(), y(row, i), values[static_cast<std::size_t>(i)] * factor, 1);
  }
}

AddedRows::AddedRows(const ReferenceInput& input)
    : x_(require(input, "x")),
      residual_(require(input, "residual")),
      stored_(require(input, "residual_out")) {}

std::vector<double> AddedRows::row(std::int64_t row) const {
  std::vector<double> values = row_values(x_, row);
  for (std::int64_t i = 0; i < x_.width(); ++i) {
    // A value that f32 cannot hold is infinite.
    double& value = values[static_cast<std::size_t>(i)];
    value += residual_(row, i);
    value = std::isinf(rounded(DType::f32, value)) ? rounded(DType::f32, value) : value;
  }
  return values;
}

std::vector<double> AddedRows::held_row(std::int64_t row) const {
  std::vector<double> values = this->row(row);
  for (double& value : values) {
    value = rounded(DType::f32, value);
  }
  return values;
}

std::vector<double> AddedRows::rounded_row(std::int64_t row) const {
  std::vector<double> values = held_row(row);
  for (double& value : values) {
    value = rounded(stored_.dtype(), value);
  }
  return values;
}

void AddedRows::check(Verdict& verdict, std::int64_t row) const {
  const std::vector<double> values = this->row(row);
  for (std::int64_t i = 0; i < x_.width(); ++i) {
    verdict.compare("residual", row, i, stored_.dtype(), stored_(row, i), values[static_cast<std::size_t>(i)],
                    1);
  }
}

RmsNormReference::RmsNormReference(const ReferenceInput& input) {
  if (const HostTensor* tensor = input.tensor("weight")) {
    weight_.emplace(*tensor);
  }
  // The kernel takes its scalars as floats.
  eps_ = static_cast<float>(input.scalar("eps", 1e-6));
  offset_ = static_cast<float>(input.scalar("weight_offset", 0.0));
}

double RmsNormReference::scale(const std::vector<double>& values) const {
  return row_scale(sum_of_squares(values), static_cast<double>(values.size()), eps_);
}

double RmsNormReference::product(double normal, DType type, std::int64_t column,
                                 const std::function<double(std::int64_t)>& gate) const {
  const double weighted = normal * gain(column);
  if (!gate) {
    return weighted;
  }
  return (weight_ ? operator_result(promoted(type, weight_->dtype()), weighted) : weighted) * gate(column);
}

void RmsNormReference::check(Verdict& verdict, std::int64_t row, const std::vector<double>& values,
                             double factor, const HostRows& y, std::optional<DType> rounded_to,
                             const std::function<double(std::int64_t)>& gate) const {
  for (std::int64_t i = 0; i < y.width(); ++i) {
    const double normal = values[static_cast<std::size_t>(i)] * factor;
    if (rounded_to) {
      // The value before its first rounding may fall on the other side of a tie. For a narrower type it is a
      // product in f32, a few units off. For f32 it is a pair of floats: the factor is off by one Newton step
      // from an approximation within 2^-22, so by 1.5 * 2^-44, and its rest and the rest of the product are
      // rounded at 2^-46 each.
      const double slack = *rounded_to == DType::f32 ? 0x1p-42 : 0x1p-21;
      const double low = product(rounded(*rounded_to, normal * (1.0 - slack)), *rounded_to, i, gate);
      const double high = product(rounded(*rounded_to, normal * (1.0 + slack)), *rounded_to, i, gate);
      verdict.compare_either("y", row, i, y.dtype(), y(row, i), low, high, 1);
    } else {
      verdict.compare("y", row, i, y.dtype(), y(row, i), normal * gain(i) * (gate ? gate(i) : 1.0), 1);
    }
  }
}

}  // namespace kerncast::reference
