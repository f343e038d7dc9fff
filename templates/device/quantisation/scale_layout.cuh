#pragma once

#include "device/public/scale_layout.h"

namespace kerncast {

/// Stores the scale of group `group` (of `Groups`) of row `row`. In the packed format, the last group of a
/// row also clears the unused bytes of its word.
template <quant::ScaleLayout Layout, quant::ScaleFormat Format, int Groups>
__device__ __forceinline__ void store_scale(void* scales, long long stride, long long row, int group,
                                            unsigned bits) {
  if constexpr (Format == quant::ScaleFormat::packed_ue8m0) {
    unsigned char* byte = static_cast<unsigned char*>(scales) + (group / 4 * stride + row) * 4 + group % 4;
    *byte = static_cast<unsigned char>(bits);
    if (Groups % 4 != 0 && group == Groups - 1) {
#pragma unroll
      for (int i = 1; i <= 3 - (Groups - 1) % 4; ++i) {
        byte[i] = 0;
      }
    }
  } else {
    constexpr bool by_rows = Layout == quant::ScaleLayout::row_major;
    static_cast<unsigned*>(scales)[by_rows ? row * stride + group : group * stride + row] = bits;
  }
}

}  // namespace kerncast
