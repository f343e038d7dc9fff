#pragma once

#include "device/programmatic_launch.cuh"
#include "quant/shared/packed_rows.cuh"

namespace kerncast::quant {

/// Stores `Count` quantised values in shared memory, as words if `Words`, else as bytes.
template <int Count, bool Words>
__device__ __forceinline__ void stage_bytes(unsigned char* address, const float* values) {
  if constexpr (Words && Count % 4 == 0) {
#pragma unroll
    for (int i = 0; i < Count; i += 4) {
      *reinterpret_cast<unsigned*>(address + i) = pack_word<fp8_e4m3>(values + i);
    }
  } else {
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      address[i] = static_cast<unsigned char>(pack2_bytes<fp8_e4m3>(values[i], 0.0f));
    }
  }
}

template <class Config>
__global__ void __launch_bounds__(Config::threads) fp8_pack_kernel(const PackedRowsKernelArgs args) {
  begin_kernel();
  using X = typename Config::wide_dtype;
  using Rows = PackedRows<Config>;
  __shared__ uint4 shared[(Rows::bytes + 15) / 16];
  unsigned char* const staged = reinterpret_cast<unsigned char*>(shared);

  const long long first = linear_block() * Rows::rows;
  const int slot = threadIdx.x / Rows::lanes;
  const int lane = threadIdx.x % Rows::lanes;
  const long long row = first + slot;
  const X* x = static_cast<const X*>(args.wide) + row * args.wide_stride;
  float values[Rows::per_lane][Rows::width] = {};
#pragma unroll
  for (int i = 0; i < Rows::per_lane; ++i) {
    const int vector = lane + i * Rows::lanes;
    if (row < args.rows && vector < Rows::vectors) {
      load_values<X, Rows::width>(x + vector * Rows::width, values[i]);
    }
  }
  Max amax;
#pragma unroll
  for (int i = 0; i < Rows::per_lane; ++i) {
    amax.merge(largest_magnitude<Rows::width>(values[i]));
  }
  const Scale scale = scale_of<ScaleFormat::f32>(reduce_lanes<Rows::lanes>(amax).value, max_of<fp8_e4m3>);
#pragma unroll
  for (int i = 0; i < Rows::per_lane; ++i) {
    const int vector = lane + i * Rows::lanes;
    if (vector < Rows::vectors) {
#pragma unroll
      for (int j = 0; j < Rows::width; ++j) {
        values[i][j] *= scale.factor;
      }
      stage_bytes<Rows::width, Config::hidden % 4 == 0>(
          staged + slot * Rows::row_bytes + vector * Rows::width, values[i]);
    }
  }
  unsigned char* const tail = staged + slot * Rows::row_bytes + Config::hidden;
  if constexpr (Config::hidden % 4 == 0) {
    if (lane == 0) {
      *reinterpret_cast<unsigned*>(tail) = scale.bits;
    }
  } else if (lane == 0) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      tail[i] = static_cast<unsigned char>(scale.bits >> (8 * i));
    }
  }
  __syncthreads();
  if (first < args.rows) {
    Rows::each_unit(args, first, Rows::count(args, first),
                    [&](int offset, unsigned char* address, auto unit) {
                      using Unit = decltype(unit);
                      *reinterpret_cast<Unit*>(address) = *reinterpret_cast<const Unit*>(staged + offset);
                    });
  }
}

}  // namespace kerncast::quant
