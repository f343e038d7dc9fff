#pragma once

#include <cstdint>
#include <string_view>

#include "templates/host/checks.hpp"

namespace kerncast::host {

/// Old name of aligned_access_bytes.
[[nodiscard]] inline std::int32_t access_limit(std::string_view op, std::string_view name,
                                               const TensorView& view, const Rows& rows,
                                               std::int64_t main_bytes) {
  return aligned_access_bytes(op, name, view, rows, main_bytes);
}

}  // namespace kerncast::host
