#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

#include "kerncast/dtype.hpp"

namespace kerncast {

/// A strided view of device memory; owns nothing. Shapes and strides are in elements.
struct TensorView {
  static constexpr int max_rank = 6;

  void* data = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  int device = 0;  ///< CUDA ordinal
  std::array<std::int64_t, max_rank> shape{};
  std::array<std::int64_t, max_rank> strides{};

  /// A contiguous (row-major) tensor. At most max_rank dimensions.
  static TensorView contiguous(void* data, DType dtype, std::initializer_list<std::int64_t> dims,
                               int device = 0) noexcept {
    TensorView view;
    view.data = data;
    view.dtype = dtype;
    view.device = device;
    for (const std::int64_t dim : dims) {
      if (view.rank < max_rank) {
        view.shape[static_cast<std::size_t>(view.rank++)] = dim;
      }
    }
    std::int64_t stride = 1;
    for (int i = view.rank - 1; i >= 0; --i) {
      view.strides[static_cast<std::size_t>(i)] = stride;
      stride *= view.shape[static_cast<std::size_t>(i)];
    }
    return view;
  }

  /// Size of dimension `i`; negative `i` counts from the end.
  [[nodiscard]] std::int64_t dim(int i) const noexcept {
    return shape[static_cast<std::size_t>(i < 0 ? i + rank : i)];
  }
  [[nodiscard]] std::int64_t stride(int i) const noexcept {
    return strides[static_cast<std::size_t>(i < 0 ? i + rank : i)];
  }
  /// Elements in all.
  [[nodiscard]] std::int64_t numel() const noexcept {
    std::int64_t n = 1;
    for (int i = 0; i < rank; ++i) {
      n *= shape[static_cast<std::size_t>(i)];
    }
    return n;
  }
  /// True for a view that stands for an optional tensor left out.
  [[nodiscard]] bool absent() const noexcept { return data == nullptr && rank == 0; }
};

}  // namespace kerncast
