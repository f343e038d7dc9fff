#pragma once

/// Where and how the scales of row-wise groups are kept. The numbers are those of the host's choices.
namespace kerncast {

enum ScaleLayout { row_major = 0, column_major = 1, column_major_tma_aligned = 2 };
enum ScaleFormat { scale_f32 = 0, scale_ue8m0 = 1, scale_packed_ue8m0 = 2 };

/// Stores the scale of group `group` (of `Groups`) of row `row`. In the packed format, the last group of a
/// row also clears the unused bytes of its word.
template <int Layout, int Format, int Groups>
__device__ __forceinline__ void store_scale(void* scales, long long stride, long long row, int group,
                                            unsigned bits) {
  if constexpr (Format == scale_packed_ue8m0) {
    unsigned char* byte = static_cast<unsigned char*>(scales) + (group / 4 * stride + row) * 4 + group % 4;
    *byte = static_cast<unsigned char>(bits);
    if (Groups % 4 != 0 && group == Groups - 1) {
#pragma unroll
      for (int i = 1; i <= 3 - (Groups - 1) % 4; ++i) {
        byte[i] = 0;
      }
    }
  } else {
    static_cast<unsigned*>(scales)[Layout == row_major ? row * stride + group : group * stride + row] = bits;
  }
}

}  // namespace kerncast
