#pragma once

#include <numeric>

#include "templates/host/checks.hpp"

/// The grid of kernels whose blocks take consecutive groups of rows; templates/device/group_grid.cuh reads
/// it.
namespace kerncast::host {

/// Lanes that share a group of `group` values when vectors have `width`.
[[nodiscard]] constexpr std::int32_t group_lanes(std::int32_t width, std::int32_t group) noexcept {
  return group / std::min(std::max(width, group / 32), group);
}

/// Blocks of `threads` for `rows` rows of `groups` groups, each by `lanes` lanes that take `turns` of them.
[[nodiscard]] constexpr LaunchGeometry group_grid(std::int64_t rows, std::int64_t groups,
                                                  std::int32_t threads, std::int32_t lanes,
                                                  std::int32_t turns) noexcept {
  const std::int64_t per_block = std::int64_t{threads} / lanes * turns;
  // If the grid spills into y, x must end where blocks and rows realign.
  const std::int64_t period = groups / std::gcd(groups, per_block);
  // The analyzer takes the result of std::gcd for undefined.
  // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult)
  LaunchGeometry made = linear_grid(divide_up(rows * groups, per_block), 0x7fffffff / period * period);
  made.block[0] = static_cast<std::uint32_t>(threads);
  return made;
}

}  // namespace kerncast::host
