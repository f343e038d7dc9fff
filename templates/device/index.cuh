#pragma once

/// Index arithmetic past 2^31.
namespace kerncast {

/// Number of this block in a grid that spills from x into y when it passes what x can hold.
__device__ __forceinline__ long long linear_block() {
  return blockIdx.x + static_cast<long long>(blockIdx.y) * gridDim.x;
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
