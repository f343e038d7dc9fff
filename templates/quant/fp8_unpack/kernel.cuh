#pragma once

#include "device/formats/decode_bytes.cuh"
#include "device/programmatic_launch.cuh"
#include "quant/shared/packed_rows.cuh"

namespace kerncast::quant {

template <class Config>
__global__ void __launch_bounds__(Config::threads) fp8_unpack_kernel(const PackedRowsKernelArgs args) {
  begin_kernel();
  using Y = typename Config::wide_dtype;
  using Rows = PackedRows<Config>;
  __shared__ uint4 shared[(Rows::bytes + 15) / 16];
  unsigned char* const staged = reinterpret_cast<unsigned char*>(shared);

  const long long first = linear_block() * Rows::rows;
  if (first >= args.rows) {
    return;
  }
  Rows::each_unit(args, first, Rows::count(args, first),
                  [&](int offset, const unsigned char* address, auto unit) {
                    using Unit = decltype(unit);
                    *reinterpret_cast<Unit*>(staged + offset) = *reinterpret_cast<const Unit*>(address);
                  });
  __syncthreads();

  const int slot = threadIdx.x / Rows::lanes;
  const long long row = first + slot;
  if (row >= args.rows) {
    return;
  }
  const unsigned char* packed = staged + slot * Rows::row_bytes;
  unsigned bits = 0;
  if constexpr (Config::hidden % 4 == 0) {
    bits = *reinterpret_cast<const unsigned*>(packed + Config::hidden);
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      bits |= static_cast<unsigned>(packed[Config::hidden + i]) << (8 * i);
    }
  }
  const float scale = __uint_as_float(bits);
  Y* y = static_cast<Y*>(args.wide) + row * args.wide_stride;
#pragma unroll
  for (int i = 0; i < Rows::per_lane; ++i) {
    const int vector = threadIdx.x % Rows::lanes + i * Rows::lanes;
    if (vector < Rows::vectors) {
      // Rows are aligned to words in shared memory if their length is a multiple of 4.
      constexpr int step = Config::hidden % 4 == 0 && Rows::width % 4 == 0 ? 4 : 1;
      float values[Rows::width];
#pragma unroll
      for (int j = 0; j < Rows::width; j += step) {
        load_decoded<fp8_e4m3, step>(packed + vector * Rows::width + j, values + j);
      }
#pragma unroll
      for (int j = 0; j < Rows::width; ++j) {
        values[j] *= scale;
      }
      store_values<Y, Rows::width>(y + vector * Rows::width, values);
    }
  }
}

}  // namespace kerncast::quant
