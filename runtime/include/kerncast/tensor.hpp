#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>

#include "kerncast/dtype.hpp"
#include "kerncast/error.hpp"

namespace kerncast {

/// A strided view of device memory. It owns nothing: the memory must live until every kernel that was
/// launched with the view has run. Shapes and strides are in elements.
struct TensorView {
  static constexpr int max_rank = 6;

  void* data = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  int device = 0;  ///< CUDA ordinal of the device that holds the memory and runs the kernel
  std::array<std::int64_t, max_rank> shape{};
  std::array<std::int64_t, max_rank> strides{};

  /// A contiguous (row-major) tensor on `device`. Throws Error(invalid_argument) for more than max_rank
  /// dimensions, and for more elements than 64 bits count.
  static TensorView contiguous(void* data, DType dtype, std::initializer_list<std::int64_t> dims,
                               int device = 0) {
    if (dims.size() > static_cast<std::size_t>(max_rank)) {
      throw Error(ErrorCode::invalid_argument, "a tensor has at most " + std::to_string(max_rank) +
                                                   " dimensions, not " + std::to_string(dims.size()));
    }
    TensorView view;
    view.data = data;
    view.dtype = dtype;
    view.device = device;
    for (const std::int64_t dim : dims) {
      view.shape[static_cast<std::size_t>(view.rank++)] = dim;
    }
    std::int64_t stride = 1;
    for (int i = view.rank - 1; i >= 0; --i) {
      view.strides[static_cast<std::size_t>(i)] = stride;
      if (__builtin_mul_overflow(stride, view.shape[static_cast<std::size_t>(i)], &stride)) {
        throw Error(ErrorCode::invalid_argument, "a tensor has fewer than 2^63 elements");
      }
    }
    return view;
  }

  /// Size of dimension `i`; negative `i` counts from the end.
  [[nodiscard]] std::int64_t dim(int i) const noexcept {
    return shape[static_cast<std::size_t>(i < 0 ? i + rank : i)];
  }
  /// Distance of neighbours along dimension `i`, in elements; negative `i` counts from the end.
  [[nodiscard]] std::int64_t stride(int i) const noexcept {
    return strides[static_cast<std::size_t>(i < 0 ? i + rank : i)];
  }
  /// Number of elements: 0 if a dimension is 0 or negative, and the largest 64-bit number if there are more,
  /// as a view with strides of 0 can have.
  [[nodiscard]] std::int64_t numel() const noexcept {
    std::int64_t n = 1;
    bool beyond = false;
    for (int i = 0; i < rank; ++i) {
      const std::int64_t extent = shape[static_cast<std::size_t>(i)];
      if (extent <= 0) {
        return 0;
      }
      beyond = beyond || __builtin_mul_overflow(n, extent, &n);
    }
    return beyond ? std::numeric_limits<std::int64_t>::max() : n;
  }
  /// True if the view stands for an optional tensor that the caller leaves out.
  [[nodiscard]] bool absent() const noexcept { return data == nullptr && rank == 0; }
};

}  // namespace kerncast
