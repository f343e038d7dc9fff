#pragma once

#include <cstdint>
#include <string_view>

#include "templates/host/checks.hpp"

namespace kerncast::host {

/// Most bytes of an op's main tensor, whose elements have `main_bytes`, per access under which equally many
/// elements of `view` are accessed aligned; elements wider than the main tensor's need no more than 16 bytes.
[[nodiscard]] inline std::int32_t access_limit(std::string_view op, std::string_view name,
                                               const TensorView& view, const Rows& rows,
                                               std::int64_t main_bytes) {
  const std::int32_t aligned = alignment_of(misalignment(view, rows));
  const std::int64_t bytes = size_of(view.dtype);
  if (aligned < bytes) [[unlikely]] {
    refuse_misaligned(op, name, view);
  }
  return aligned == 16 ? 16 : static_cast<std::int32_t>(aligned * main_bytes / bytes);
}

}  // namespace kerncast::host
