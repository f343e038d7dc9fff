#include "templates/host/overlap.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "templates/host/checks.hpp"

namespace kerncast::host {
namespace {

/// The bytes of a view: a run of `bytes`, repeated along dimensions whose strides descend.
struct ByteGrid {
  std::uintptr_t begin = 0;
  std::int64_t bytes = 0;
  int rank = 0;
  std::array<std::int64_t, TensorView::max_rank> extents{};
  std::array<std::int64_t, TensorView::max_rank> strides{};

  /// Bytes from the first to the last from dimension `first` on.
  [[nodiscard]] std::int64_t reach(int first) const noexcept {
    std::int64_t sum = bytes;
    for (int i = first; i < rank; ++i) {
      sum += (extents[static_cast<std::size_t>(i)] - 1) * strides[static_cast<std::size_t>(i)];
    }
    return sum;
  }
  [[nodiscard]] std::int64_t& extent() noexcept { return extents[0]; }
  [[nodiscard]] std::int64_t extent() const noexcept { return extents[0]; }
  [[nodiscard]] std::int64_t stride() const noexcept { return strides[0]; }

  /// The part at `index` of the outermost dimension.
  [[nodiscard]] ByteGrid part(std::int64_t index) const noexcept {
    ByteGrid made = *this;
    made.begin += static_cast<std::uintptr_t>(index * stride());
    std::copy(extents.begin() + 1, extents.end(), made.extents.begin());
    std::copy(strides.begin() + 1, strides.end(), made.strides.begin());
    --made.rank;
    return made;
  }
};

ByteGrid grid_of(const TensorView& view) noexcept {
  const std::int64_t size = size_of(view.dtype);
  ByteGrid grid{.begin = reinterpret_cast<std::uintptr_t>(view.data), .bytes = size};
  for (int i = 0; i < view.rank; ++i) {
    const std::int64_t extent = view.dim(i);
    if (extent == 1 || view.stride(i) == 0) {
      continue;
    }
    const std::int64_t stride = view.stride(i) * size;
    if (stride < 0) {
      grid.begin += static_cast<std::uintptr_t>((extent - 1) * stride);
    }
    // Insert by descending stride.
    int at = grid.rank++;
    for (; at > 0 && grid.strides[static_cast<std::size_t>(at - 1)] < std::abs(stride); --at) {
      grid.extents[static_cast<std::size_t>(at)] = grid.extents[static_cast<std::size_t>(at - 1)];
      grid.strides[static_cast<std::size_t>(at)] = grid.strides[static_cast<std::size_t>(at - 1)];
    }
    grid.extents[static_cast<std::size_t>(at)] = extent;
    grid.strides[static_cast<std::size_t>(at)] = std::abs(stride);
  }
  // Dimensions without gaps lengthen the run.
  while (grid.rank > 0 && grid.strides[static_cast<std::size_t>(grid.rank - 1)] <= grid.bytes) {
    grid.bytes = grid.reach(grid.rank - 1);
    --grid.rank;
  }
  return grid;
}

bool touch(const ByteGrid& a, const ByteGrid& b) noexcept;

/// touch() of grids with one outermost stride, within which the parts of each lie.
bool touch_in_step(const ByteGrid& a, const ByteGrid& b) noexcept {
  const std::int64_t stride = a.stride();
  const auto apart = static_cast<std::int64_t>(b.begin - a.begin);
  const std::int64_t floor = apart >= 0 ? apart / stride : -((-apart + stride - 1) / stride);
  // Part j of b begins within part j + floor of a, and ends there or in the next one.
  for (const std::int64_t steps : {floor, floor + 1}) {
    const std::int64_t first = std::max<std::int64_t>(0, -steps);
    if (first < std::min(b.extent(), a.extent() - steps) && touch(a.part(first + steps), b.part(first))) {
      return true;
    }
  }
  return false;
}

bool touch(const ByteGrid& a, const ByteGrid& b) noexcept {
  const auto apart = static_cast<std::int64_t>(b.begin - a.begin);
  if (apart >= a.reach(0) || -apart >= b.reach(0)) {
    return false;
  }
  if (a.rank == 0 && b.rank == 0) {
    return true;
  }
  if (a.rank > 0 && b.rank > 0 && a.stride() == b.stride() &&
      std::max(a.reach(1), b.reach(1)) <= a.stride()) {
    return touch_in_step(a, b);
  }
  // Halve the wider one.
  const bool splits_a = b.rank == 0 || (a.rank > 0 && a.reach(0) >= b.reach(0));
  const ByteGrid& wide = splits_a ? a : b;
  const ByteGrid& other = splits_a ? b : a;
  if (wide.extent() == 1) {
    return touch(wide.part(0), other);
  }
  ByteGrid low = wide;
  low.extent() /= 2;
  ByteGrid high = wide;
  high.begin += static_cast<std::uintptr_t>(low.extent() * wide.stride());
  high.extent() -= low.extent();
  return touch(low, other) || touch(high, other);
}

/// True if the views are one: every element of one is the same element of the other.
bool same_view(const TensorView& a, const TensorView& b) noexcept {
  if (a.data != b.data || a.dtype != b.dtype || !same_shape(a, b)) {
    return false;
  }
  for (int i = 0; i < a.rank; ++i) {
    if (a.dim(i) > 1 && a.stride(i) != b.stride(i)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool share_bytes(const TensorView& a, const TensorView& b) noexcept {
  const ByteRange range_a = byte_range(a);
  const ByteRange range_b = byte_range(b);
  return range_a.meets(range_b) &&
         (range_a.is_everything() || range_b.is_everything() || touch(grid_of(a), grid_of(b)));
}

void refuse_shared_bytes(std::string_view op, std::span<const Operand> operands, std::size_t outputs) {
  for (const Operand& operand : operands) {
    if (byte_range(operand.view).is_everything()) {
      refuse(op, fmt::format("the strides of tensor '{}' reach past 2^55 elements, which no memory has",
                             operand.name));
    }
  }
  for (std::size_t i = 0; i < outputs; ++i) {
    const Operand& output = operands[i];
    for (const Operand& other : operands.subspan(i + 1)) {
      const std::string_view name = other.name;
      const bool allowed = output.may_be == name || output.may_also_be == name;
      if ((allowed && same_view(output.view, other.view)) || !share_bytes(output.view, other.view)) {
        continue;
      }
      refuse(op,
             fmt::format("tensors '{0}' and '{1}' share memory, but '{0}' is written; {2}", output.name, name,
                         allowed ? fmt::format("let it be '{}' itself, with the same dtype, shape and "
                                               "strides, or give it memory of its own",
                                               name)
                                 : "give it memory of its own"));
    }
  }
}

}  // namespace kerncast::host
