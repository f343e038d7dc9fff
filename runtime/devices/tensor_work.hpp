#pragma once

#include <string_view>

namespace kerncast::devices {

/// The work of one warp in an mma or wgmma instruction in multiply-adds of 16-bit operands: m * n * k, halved
/// for 8-bit operands, doubled for tf32, times 16 for f64. `ptx` is the instruction's line. 0 if it is not an
/// mma.
[[nodiscard]] double tensor_fma(std::string_view ptx);

}  // namespace kerncast::devices
