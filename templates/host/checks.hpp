#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kerncast/op_definition.hpp"
#include "kerncast/tensor.hpp"
#include "templates/host/params.hpp"
#include "templates/host/settings.hpp"

/// Checks that the ops' bind functions share. A check that succeeds is inline and allocates nothing. A
/// failure is out of line: it throws Error(invalid_argument), which names the op, the tensor, the value and
/// the constraint.
namespace kerncast::host {

/// A tensor as rows of its last dimension.
struct Rows {
  std::int64_t count = 0;   ///< product of the leading dimensions
  std::int64_t stride = 0;  ///< elements from one row to the next
};

[[noreturn]] void refuse(std::string_view op, const std::string& what);
[[noreturn]] void refuse_dtype(std::string_view op, std::string_view name, DType got,
                               std::string_view wanted);
[[noreturn]] void refuse_rank(std::string_view op, std::string_view name, const TensorView& view);
[[noreturn]] void refuse_shape(std::string_view op, std::string_view name, const TensorView& view,
                               std::string_view wanted);
[[noreturn]] void refuse_shape_of(std::string_view op, std::string_view name, const TensorView& view,
                                  std::string_view like_name, const TensorView& like);
[[noreturn]] void refuse_rows_like(std::string_view op, std::string_view name, const TensorView& view,
                                   std::string_view like_name, const TensorView& like, std::int64_t width);
[[noreturn]] void refuse_null(std::string_view op, std::string_view name);
[[noreturn]] void refuse_last_stride(std::string_view op, std::string_view name, const TensorView& view);
[[noreturn]] void refuse_leading(std::string_view op, std::string_view name, const TensorView& view);
[[noreturn]] void refuse_overlap(std::string_view op, std::string_view name, const TensorView& view);
[[noreturn]] void refuse_misaligned(std::string_view op, std::string_view name, const TensorView& view);
[[noreturn]] void refuse_device(std::string_view op, std::string_view name, int got, std::string_view other,
                                int wanted);
[[noreturn]] void refuse_range(std::string_view op, std::string_view what, std::int64_t got,
                               std::int64_t lowest, std::int64_t highest);

/// "[4, 7168] (strides [8192, 1])".
[[nodiscard]] std::string shape_text(const TensorView& view);

[[nodiscard]] constexpr bool is_float(DType type) noexcept {
  return type == DType::bf16 || type == DType::f16 || type == DType::f32;
}

/// An empty view stands for an argument that was left out.
inline void require_present(std::string_view op, std::string_view name, const TensorView& view) {
  if (view.absent()) [[unlikely]] {
    refuse_rank(op, name, view);
  }
}

inline void require_float(std::string_view op, std::string_view name, const TensorView& view) {
  if (!is_float(view.dtype)) [[unlikely]] {
    refuse_dtype(op, name, view.dtype, "bf16, f16 or f32");
  }
}

inline void require_device(std::string_view op, std::string_view name, const TensorView& view,
                           std::string_view other, int device) {
  if (view.device != device) [[unlikely]] {
    refuse_device(op, name, view.device, other, device);
  }
}

/// Flattens the leading dimensions of `view`, of rank 1 or more. The last dimension's own stride is left
/// unchecked.
[[nodiscard]] inline Rows flatten(std::string_view op, std::string_view name, const TensorView& view) {
  if (view.rank < 1 || view.rank > TensorView::max_rank) [[unlikely]] {
    refuse_rank(op, name, view);
  }
  Rows rows{1, 0};
  for (int i = view.rank - 2; i >= 0; --i) {
    const std::int64_t extent = view.dim(i);
    if (extent != 1) {
      if (rows.count == 1) {
        rows.stride = view.stride(i);
      } else if (view.stride(i) != rows.stride * rows.count && extent != 0 && rows.count != 0) [[unlikely]] {
        refuse_leading(op, name, view);
      }
    }
    rows.count *= extent;
  }
  return rows;
}

/// Rows of a tensor whose last dimension is contiguous.
[[nodiscard]] inline Rows contiguous_rows(std::string_view op, std::string_view name,
                                          const TensorView& view) {
  const Rows rows = flatten(op, name, view);
  if (view.stride(-1) != 1 && view.dim(-1) > 1) [[unlikely]] {
    refuse_last_stride(op, name, view);
  }
  return rows;
}

/// The rows of a tensor that is written, see contiguous_rows: they must not overlap.
[[nodiscard]] inline Rows output_rows(std::string_view op, std::string_view name, const TensorView& view) {
  const Rows rows = contiguous_rows(op, name, view);
  if (rows.count > 1 && rows.stride < view.dim(-1)) [[unlikely]] {
    refuse_overlap(op, name, view);
  }
  return rows;
}

/// `view` must have the leading dimensions of `like`, and `width` columns.
inline void require_rows_like(std::string_view op, std::string_view name, const TensorView& view,
                              std::string_view like_name, const TensorView& like, std::int64_t width) {
  if (view.rank != like.rank || view.dim(-1) != width ||
      !std::equal(view.shape.begin(), view.shape.begin() + view.rank - 1, like.shape.begin())) [[unlikely]] {
    refuse_rows_like(op, name, view, like_name, like, width);
  }
}

/// Null is allowed if there is nothing to read or write.
inline void require_data(std::string_view op, std::string_view name, const TensorView& view,
                         std::int64_t rows) {
  if (view.data == nullptr && rows > 0) [[unlikely]] {
    refuse_null(op, name);
  }
}

/// Bits that limit the alignment of a row: those of the pointer, and those of the stride if there is a second
/// row.
[[nodiscard]] inline std::uint64_t misalignment(const TensorView& view, const Rows& rows) noexcept {
  const auto bytes = static_cast<std::uint64_t>(size_of(view.dtype));
  return reinterpret_cast<std::uintptr_t>(view.data) |
         (rows.count > 1 ? static_cast<std::uint64_t>(rows.stride) * bytes : 0U);
}

/// The largest power of two up to 16 that divides every address made of `bits`.
[[nodiscard]] constexpr std::int32_t alignment_of(std::uint64_t bits) noexcept {
  return static_cast<std::int32_t>((bits | 16U) & (~(bits | 16U) + 1U));
}

/// Most bytes of an op's main tensor, whose elements have `main_bytes`, per access under which equally many
/// elements of `view` are accessed aligned. Elements wider than the main tensor's need no more than 16 bytes.
/// Refuses a tensor that is not aligned to its own elements.
[[nodiscard]] inline std::int32_t aligned_access_bytes(std::string_view op, std::string_view name,
                                                       const TensorView& view, const Rows& rows,
                                                       std::int64_t main_bytes) {
  const std::int32_t aligned = alignment_of(misalignment(view, rows));
  const std::int64_t bytes = size_of(view.dtype);
  if (aligned < bytes) [[unlikely]] {
    refuse_misaligned(op, name, view);
  }
  return aligned == 16 ? 16 : static_cast<std::int32_t>(aligned * main_bytes / bytes);
}

/// The most bytes of shared memory that a kernel may declare for a block. More must be asked for at launch.
constexpr std::int32_t most_static_shared = 48 * 1024;

/// A grid of at least `blocks` blocks along x, which continues along y if x is full.
[[nodiscard]] constexpr LaunchGeometry linear_grid(std::int64_t blocks,
                                                   std::int64_t widest_x = 0x7fffffff) noexcept {
  LaunchGeometry geometry;
  const std::int64_t x = std::clamp<std::int64_t>(blocks, 1, widest_x);
  geometry.grid[0] = static_cast<std::uint32_t>(x);
  geometry.grid[1] = static_cast<std::uint32_t>(std::max<std::int64_t>(1, (blocks + x - 1) / x));
  return geometry;
}

[[nodiscard]] constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) noexcept {
  return (a + b - 1) / b;
}

/// The least multiple of `multiple` that is not below `value`, which is not negative.
[[nodiscard]] constexpr std::int64_t round_up(std::int64_t value, std::int64_t multiple) noexcept {
  return divide_up(value, multiple) * multiple;
}

/// The least power of two that is not below `value`, which is at least 1.
[[nodiscard]] constexpr std::int32_t power_of_two_above(std::int64_t value) noexcept {
  return static_cast<std::int32_t>(std::bit_ceil(static_cast<std::uint64_t>(value)));
}

/// The largest row count of the bucket of `rows`: default tunables depend on nothing finer.
[[nodiscard]] constexpr std::int64_t bucket_ceiling(std::int64_t rows) noexcept {
  return std::int64_t{1} << row_bucket(rows);
}

[[nodiscard]] inline bool same_shape(const TensorView& a, const TensorView& b) noexcept {
  return a.rank == b.rank && std::equal(a.shape.begin(), a.shape.begin() + a.rank, b.shape.begin());
}

/// `type` as a specialisation stores it.
[[nodiscard]] constexpr std::int32_t to_param(DType type) noexcept {
  return static_cast<std::int32_t>(type);
}

/// The dtype that a specialisation stores as `value`.
[[nodiscard]] constexpr DType dtype_from_param(std::int32_t value) noexcept {
  return static_cast<DType>(value);
}

}  // namespace kerncast::host
