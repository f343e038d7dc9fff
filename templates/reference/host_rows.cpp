#include "templates/reference/host_rows.hpp"

#include <fmt/format.h>

#include "templates/reference/host_float.hpp"

namespace kerncast::reference {

HostRows::HostRows(const HostTensor& tensor) : tensor_(&tensor) {
  const auto fail = [&](const char* why) {
    throw Error(ErrorCode::invalid_argument, fmt::format("reference: tensor '{}' {}", tensor.name, why));
  };
  if (tensor.shape.empty() || tensor.strides.size() != tensor.shape.size()) {
    fail("needs a shape and as many strides");
  }
  width_ = tensor.shape.back();
  column_stride_ = tensor.strides.back();
  for (std::size_t i = tensor.shape.size() - 1; i-- > 0;) {
    if (tensor.shape[i] == 1) {
      continue;
    }
    if (rows_ == 1) {
      row_stride_ = tensor.strides[i];
    } else if (tensor.strides[i] != row_stride_ * rows_) {
      fail("has leading dimensions that do not flatten");
    }
    rows_ *= tensor.shape[i];
  }
  if (rows_ > 0 && width_ > 0 &&
      (offset(rows_ - 1, width_ - 1) + 1) * size_of(tensor.dtype) >
          static_cast<std::int64_t>(tensor.bytes.size())) {
    fail("has a storage that ends before its last element");
  }
}

double HostRows::operator()(std::int64_t row, std::int64_t column) const {
  return decode(tensor_->dtype, tensor_->bytes.data() + offset(row, column) * size_of(tensor_->dtype));
}

const HostTensor& require(const ReferenceInput& input, std::string_view name) {
  const HostTensor* tensor = input.tensor(name);
  if (tensor == nullptr) {
    throw Error(ErrorCode::invalid_argument, fmt::format("reference: tensor '{}' is missing", name));
  }
  return *tensor;
}

}  // namespace kerncast::reference
