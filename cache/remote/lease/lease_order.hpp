#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kerncast::cache {

/// The numbers from 0 to `count` - 1 in an order that depends on `seed` alone. Machines that want the same
/// kernels in orders of their own seldom want the same one at once, so that they do not wait for each other.
[[nodiscard]] std::vector<std::size_t> own_order(std::size_t count, std::uint64_t seed);

}  // namespace kerncast::cache
