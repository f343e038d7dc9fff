#pragma once

#include "device/programmatic_launch.cuh"
#include "norm/shared/quantised/quantise_row.cuh"

namespace kerncast::norm {

/// A row of x as floats, as RowWalk takes it.
template <class X, int Width, int Vector, int Span>
struct RowValues {
  struct Part {
    float values[Width];
  };
  using Loaded = Part;
  static constexpr int width = Width;
  static constexpr int span = Span;
  static constexpr int registers = Width;

  const X* x;

  __device__ __forceinline__ static const Part& part_of(const Loaded& loaded) { return loaded; }
  __device__ __forceinline__ Part load(int column) const {
    Part part;
#pragma unroll
    for (int i = 0; i < Width; i += Vector) {
      load_values<X, Vector>(x + column + i, part.values + i);
    }
    return part;
  }
};

/// One row by threads / rows_per_block threads. y may be x.
template <class Config>
__global__ void __launch_bounds__(Config::threads) rms_norm_quant_kernel(const RmsNormQuantKernelArgs args) {
  begin_kernel();
  using X = typename Config::x_dtype;
  using Row =
      RowValues<X, quantised_part<Config>, quantised_vector<Config>, span_of<X, typename Config::y_dtype>>;
  const Row values{static_cast<const X*>(args.x) + row_of_thread<Config>() * args.x_stride};
  quantise_row<Config>(args, values, [](const auto&, int) {});
}

}  // namespace kerncast::norm
