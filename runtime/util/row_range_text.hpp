#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <string>

namespace kerncast {

/// The row counts from `low` to `high`, inclusive, in words: "1", "33 to 64", "8193 and more" if they have no
/// end.
[[nodiscard]] inline std::string row_range_text(std::int64_t low, std::int64_t high) {
  if (low == high) {
    return fmt::format("{}", low);
  }
  return high == std::numeric_limits<std::int64_t>::max() ? fmt::format("{} and more", low)
                                                          : fmt::format("{} to {}", low, high);
}

}  // namespace kerncast
