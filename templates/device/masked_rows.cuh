#pragma once

/// Rows of a batch of experts of which only the first few count: blockIdx.z is the expert.
namespace kerncast {

/// Rows of this block's expert that count, of `rows`; all where there is no mask.
template <bool Masked>
__device__ __forceinline__ long long counted_rows(const int* masked_m, long long rows) {
  if constexpr (Masked) {
    const long long counted = masked_m[blockIdx.z];
    return counted < rows ? counted : rows;
  } else {
    return rows;
  }
}

/// Elements from the first expert to this block's.
template <bool Masked>
__device__ __forceinline__ long long expert_offset(long long stride) {
  return Masked ? blockIdx.z * stride : 0;
}

}  // namespace kerncast
