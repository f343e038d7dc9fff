#include "cache/remote/lease/lease_order.hpp"

#include <numeric>
#include <utility>

#include "runtime/util/split_mix.hpp"

namespace kerncast::cache {

std::vector<std::size_t> own_order(std::size_t count, std::uint64_t seed) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t left = count; left > 1; --left) {
    std::swap(order[left - 1], order[next_random(seed) % left]);
  }
  return order;
}

}  // namespace kerncast::cache
