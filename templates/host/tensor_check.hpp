#pragma once

#include <cstdint>
#include <string_view>

#include "templates/host/checks.hpp"

namespace kerncast::host {

/// The checks of one tensor of a call. It holds the names that the messages need; a check that succeeds is
/// inline and costs a comparison. Each one throws Error(invalid_argument):
///
///     const host::TensorCheck s(op_name, "s", arguments.s);
///     const host::Rows s_rows = s.has_dtype(DType::f32).has_rows_like("x", x, 1).output_rows();
///     s.has_data(s_rows.count).is_on_device_of("x", x).is_aligned(s_rows);
class TensorCheck {
 public:
  TensorCheck(std::string_view op, std::string_view name, const TensorView& view) noexcept
      : op_(op), name_(name), view_(&view) {}

  /// The tensor is not left out.
  const TensorCheck& is_present() const {
    require_present(op_, name_, *view_);
    return *this;
  }
  /// The dtype is bf16, f16 or f32.
  const TensorCheck& is_float() const {
    require_float(op_, name_, *view_);
    return *this;
  }
  const TensorCheck& has_dtype(DType wanted) const {
    if (view_->dtype != wanted) [[unlikely]] {
      refuse_dtype(op_, name_, view_->dtype, name_of(wanted));
    }
    return *this;
  }
  const TensorCheck& has_shape_of(std::string_view other_name, const TensorView& other) const {
    if (!same_shape(*view_, other)) [[unlikely]] {
      refuse_shape_of(op_, name_, *view_, other_name, other);
    }
    return *this;
  }
  /// The leading dimensions are those of `other`, and the last one has `width` elements.
  const TensorCheck& has_rows_like(std::string_view other_name, const TensorView& other,
                                   std::int64_t width) const {
    require_rows_like(op_, name_, *view_, other_name, other, width);
    return *this;
  }
  /// The pointer is not null, unless there are no rows.
  const TensorCheck& has_data(std::int64_t rows) const {
    require_data(op_, name_, *view_, rows);
    return *this;
  }
  const TensorCheck& is_on_device_of(std::string_view other_name, const TensorView& other) const {
    require_device(op_, name_, *view_, other_name, other.device);
    return *this;
  }
  /// Every row starts at a multiple of an element's bytes.
  const TensorCheck& is_aligned(const Rows& rows) const {
    if (alignment_of(misalignment(*view_, rows)) < size_of(view_->dtype)) [[unlikely]] {
      refuse_misaligned(op_, name_, *view_);
    }
    return *this;
  }
  /// The rows of a tensor whose last dimension is contiguous.
  [[nodiscard]] Rows contiguous_rows() const { return host::contiguous_rows(op_, name_, *view_); }
  /// The rows of a tensor that is written: they are contiguous and do not overlap.
  [[nodiscard]] Rows output_rows() const { return host::output_rows(op_, name_, *view_); }
  /// See aligned_access_bytes.
  [[nodiscard]] std::int32_t access_bytes(const Rows& rows, std::int64_t main_bytes) const {
    return aligned_access_bytes(op_, name_, *view_, rows, main_bytes);
  }

 private:
  std::string_view op_;
  std::string_view name_;
  const TensorView* view_;
};

}  // namespace kerncast::host
