#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "templates/norm/shared/row_scale_reference.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_rows.hpp"

/// The parts that the references of the root-mean-square norms share.
namespace kerncast::reference {

/// One row of `rows` as exact numbers.
[[nodiscard]] std::vector<double> row_values(const HostRows& rows, std::int64_t row);

[[nodiscard]] double sum_of_squares(const std::vector<double>& values);

/// True if y has the rows and columns of x; fails `verdict` if not.
[[nodiscard]] bool same_shape(Verdict& verdict, const HostRows& x, const HostRows& y);

/// Compares row `row` of y with `values` times `factor`.
void check_scaled(Verdict& verdict, std::int64_t row, const std::vector<double>& values, double factor,
                  const HostRows& y);

/// Rows x + residual as exact numbers, and a check of the rows that were stored.
class AddedRows {
 public:
  /// Takes x, residual and residual_out from `input`.
  explicit AddedRows(const ReferenceInput& input);

  [[nodiscard]] const HostRows& x() const { return x_; }
  [[nodiscard]] std::vector<double> row(std::int64_t row) const;
  /// The row as f32 holds it.
  [[nodiscard]] std::vector<double> held_row(std::int64_t row) const;
  /// The row as f32 holds it, rounded to residual's dtype.
  [[nodiscard]] std::vector<double> rounded_row(std::int64_t row) const;
  /// The row that residual holds on return.
  void check(Verdict& verdict, std::int64_t row) const;

 private:
  HostRows x_;
  HostRows residual_;
  HostRows stored_;
};

/// y = values / sqrt(mean(values^2) + eps) * (weight + weight_offset).
class RmsNormReference {
 public:
  /// Takes weight, eps and weight_offset from `input`.
  explicit RmsNormReference(const ReferenceInput& input);

  [[nodiscard]] double scale(const std::vector<double>& values) const;
  [[nodiscard]] double gain(std::int64_t column) const {
    return weight_ ? (*weight_)(0, column) + offset_ : 1.0;
  }
  /// Checks a row of y: `values` times `factor`. `rounded_to` is the dtype that the normalised row is rounded
  /// to before the weight; gate(column) multiplies every element at the end, before which the product with
  /// the weight is rounded as torch does.
  void check(Verdict& verdict, std::int64_t row, const std::vector<double>& values, double factor,
             const HostRows& y, std::optional<DType> rounded_to,
             const std::function<double(std::int64_t)>& gate = nullptr) const;

 private:
  /// `normal`, which has the dtype `type`, times weight and gate.
  [[nodiscard]] double product(double normal, DType type, std::int64_t column,
                               const std::function<double(std::int64_t)>& gate) const;

  std::optional<HostRows> weight_;
  double eps_;
  double offset_;
};

}  // namespace kerncast::reference
