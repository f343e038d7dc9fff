#pragma once

#include <cstdint>
#include <string>

#include "kerncast/reference.hpp"

namespace kerncast::reference {

/// A view of a host tensor as rows along its last dimension.
class HostRows {
 public:
  /// Throws Error(invalid_argument) if the leading dimensions do not flatten or the storage is too small.
  /// `tensor` must outlive this object.
  explicit HostRows(const HostTensor& tensor);

  [[nodiscard]] std::int64_t rows() const { return rows_; }
  [[nodiscard]] std::int64_t width() const { return width_; }
  [[nodiscard]] DType dtype() const { return tensor_->dtype; }
  [[nodiscard]] const std::string& name() const { return tensor_->name; }
  /// The element, decoded.
  [[nodiscard]] double operator()(std::int64_t row, std::int64_t column) const;
  /// Offset of the element in the storage, in elements.
  [[nodiscard]] std::int64_t offset(std::int64_t row, std::int64_t column) const {
    return row * row_stride_ + column * column_stride_;
  }
  [[nodiscard]] std::int64_t column_stride() const { return column_stride_; }

 private:
  const HostTensor* tensor_;
  std::int64_t rows_ = 1;
  std::int64_t width_ = 0;
  std::int64_t row_stride_ = 0;
  std::int64_t column_stride_ = 1;
};

/// The tensor called `name`. Throws Error(invalid_argument) if it is missing.
[[nodiscard]] const HostTensor& require(const ReferenceInput& input, std::string_view name);

}  // namespace kerncast::reference
