#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "kerncast/tensor.hpp"

/// The rule on memory that the tensors of a call share: what is written overlaps nothing else, except where
/// an op documents that an output may be an input itself.
namespace kerncast::host {

/// A tensor of a call with its name. An output may name tensors that it may be: the same address, dtype,
/// shape and strides.
struct Operand {
  const char* name;
  const TensorView& view;
  const char* may_be = "";
  const char* may_also_be = "";
};

/// The elements that a dimension may span. With it no sum over dimensions and no count of bytes overflows.
inline constexpr std::int64_t widest_reach = std::int64_t{1} << 55;

/// The bytes from the first to the last of a tensor; empty if it has none, and all of memory if a dimension
/// spans more than widest_reach.
struct ByteRange {
  std::uintptr_t begin;
  std::uintptr_t end;

  [[nodiscard]] bool is_everything() const noexcept { return begin == 0 && end == UINTPTR_MAX; }
  [[nodiscard]] bool meets(const ByteRange& other) const noexcept {
    return (begin < other.end) & (other.begin < end);
  }
};

[[nodiscard]] inline ByteRange byte_range(const TensorView& view) noexcept {
  std::int64_t lowest = 0;
  std::int64_t highest = 1;
  bool is_empty = view.data == nullptr;
  bool is_wide = false;
  for (std::size_t i = 0; i < static_cast<std::size_t>(view.rank); ++i) {
    const std::int64_t steps = view.shape[i] > 0 ? view.shape[i] - 1 : 0;
    std::int64_t reach = 0;
    is_wide |= __builtin_mul_overflow(steps, view.strides[i], &reach);
    is_wide |= (reach > widest_reach) | (reach < -widest_reach);
    is_empty |= view.shape[i] <= 0;
    highest += is_wide ? 0 : std::max<std::int64_t>(reach, 0);
    lowest += is_wide ? 0 : std::min<std::int64_t>(reach, 0);
  }
  if (is_wide && !is_empty) [[unlikely]] {
    return {0, UINTPTR_MAX};
  }
  const auto data = reinterpret_cast<std::uintptr_t>(view.data);
  const std::int64_t size = size_of(view.dtype);
  // Nothing meets a range that ends at 0.
  return {data + static_cast<std::uintptr_t>(lowest * size),
          is_empty ? 0 : data + static_cast<std::uintptr_t>(highest * size)};
}

/// True if an element of `a` shares a byte with one of `b`. Views that interleave, such as columns of one
/// matrix, do not. A view that is_everything() shares a byte with every other one.
[[nodiscard]] bool share_bytes(const TensorView& a, const TensorView& b) noexcept;

/// Throws Error(invalid_argument) if one of the first `outputs` of `operands` shares a byte with another one,
/// unless it is that one and may be, or if the strides of one reach past any memory.
void refuse_shared_bytes(std::string_view op, std::span<const Operand> operands, std::size_t outputs);

/// Checks every output against all other tensors of the call. Absent tensors are fine. Throws
/// Error(invalid_argument). It costs a comparison for each pair whose memory lies apart.
template <std::size_t Outputs, std::size_t Inputs>
inline void require_apart(std::string_view op, const Operand (&outputs)[Outputs],
                          const Operand (&inputs)[Inputs]) {
  ByteRange ranges[Outputs + Inputs];
  [&]<std::size_t... O, std::size_t... I>(std::index_sequence<O...>, std::index_sequence<I...>) {
    ((ranges[O] = byte_range(outputs[O].view)), ...);
    ((ranges[Outputs + I] = byte_range(inputs[I].view)), ...);
  }(std::make_index_sequence<Outputs>(), std::make_index_sequence<Inputs>());
  bool meet = false;
  for (std::size_t i = 0; i < Outputs; ++i) {
    for (std::size_t j = i + 1; j < Outputs + Inputs; ++j) {
      meet |= ranges[i].meets(ranges[j]);
    }
  }
  if (meet) [[unlikely]] {
    [&]<std::size_t... O, std::size_t... I>(std::index_sequence<O...>, std::index_sequence<I...>) {
      const Operand operands[] = {outputs[O]..., inputs[I]...};
      refuse_shared_bytes(op, operands, Outputs);
    }(std::make_index_sequence<Outputs>(), std::make_index_sequence<Inputs>());
  }
}

}  // namespace kerncast::host
