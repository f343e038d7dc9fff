#pragma once

#include <cstddef>
#include <cstdint>

#include "kerncast/dtype.hpp"

/// Scalar conversions for the references. They follow the definition of each format and compute in double.
namespace kerncast::reference {

/// The value of the element of `type` at `bytes`. Integers are converted to double; ue8m0 0xff is NaN.
[[nodiscard]] double decode(DType type, const std::byte* bytes);

/// Bit pattern of `value` rounded to nearest even. bf16, f16 and f32 overflow to infinity; fp8 and int8
/// saturate. NaN becomes the type's canonical NaN, or 0 for int8.
[[nodiscard]] std::uint32_t encode(DType type, double value);

/// `value` rounded to `type`, as encode rounds it.
[[nodiscard]] double rounded(DType type, double value);

/// Position of `value` among the values of `type`: neighbours differ by 1. `type` must hold `value` exactly.
[[nodiscard]] std::int64_t ordinal(DType type, double value);

/// Unit in the last place of `value`: the distance to the next larger magnitude of `type`.
[[nodiscard]] double unit(DType type, double value);

}  // namespace kerncast::reference
