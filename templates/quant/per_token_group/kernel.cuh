#pragma once

#include "device/programmatic_launch.cuh"
#include "quant/shared/group_scaled.cuh"

namespace kerncast::quant {

template <class Config>
__global__ void __launch_bounds__(Config::threads) per_token_group_kernel(const GroupScaledKernelArgs args) {
  begin_kernel();
  using X = typename Config::x_dtype;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  quantise_rows<Config, false>(args, [](const X* row, int column, auto& values) {
#pragma unroll
    for (int i = 0; i < static_cast<int>(sizeof(values) / sizeof(float)); i += width) {
      load_values<X, width>(row + column + i, values + i);
    }
  });
}

}  // namespace kerncast::quant
