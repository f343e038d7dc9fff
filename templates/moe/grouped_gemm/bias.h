#pragma once

namespace kerncast::moe {

/// The type of the bias of grouped_gemm, for host and kernel alike.
enum class GemmBias : unsigned char { none, bf16, f16, f32 };

}  // namespace kerncast::moe
