#pragma once

/// Index arithmetic for grids and tensors past 2^31 elements.
namespace kerncast {

/// Number of this block in a grid that continues along y if x cannot hold all blocks.
__device__ __forceinline__ long long linear_block() {
  return blockIdx.x + static_cast<long long>(blockIdx.y) * gridDim.x;
}

/// The least power of two that is not below `value`, at most `limit`.
constexpr int power_of_two_above(int value, int limit) {
  int power = 1;
  while (power < value && power < limit) {
    power *= 2;
  }
  return power;
}

constexpr int greatest_common_divisor(int a, int b) {
  while (b != 0) {
    const int rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

}  // namespace kerncast
