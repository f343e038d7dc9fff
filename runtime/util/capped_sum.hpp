#pragma once

#include <cstdint>
#include <limits>

namespace kerncast {

/// `a` + `b`, or the largest number if that is less: sizes and counts that were read from files may be
/// anything.
[[nodiscard]] constexpr std::uint64_t capped_sum(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  return a > most - b ? most : a + b;
}

}  // namespace kerncast
