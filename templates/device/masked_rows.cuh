#pragma once

/// Rows of a batch of experts under a mask: only the first masked_m[e] rows of expert e count. blockIdx.z is
/// the expert.
namespace kerncast {

/// The number of those of the `rows` rows of this block's expert count; all of them without a mask.
template <bool Masked>
__device__ __forceinline__ long long counted_rows(const int* masked_m, long long rows) {
  if constexpr (Masked) {
    const long long counted = masked_m[blockIdx.z];
    return counted < rows ? counted : rows;
  } else {
    return rows;
  }
}

/// Offset, in elements, of this block's expert.
template <bool Masked>
__device__ __forceinline__ long long expert_offset(long long stride) {
  return Masked ? blockIdx.z * stride : 0;
}

}  // namespace kerncast
