#pragma once

#include <cstddef>
#include <cstdint>

#include "kerncast/dtype.hpp"

/// Scalar conversions of the references, by the definition of each format and in double throughout.
namespace kerncast::reference {

/// The value of the element at `bytes`, of any type up to 64 bits. Integers convert; ue8m0 0xff is NaN.
[[nodiscard]] double decode(DType type, const std::byte* bytes);

/// Bit pattern of `value` rounded to nearest even: bf16, f16 and f32 overflow to infinity; fp8 and int8
/// saturate. NaN becomes the type's canonical NaN, for int8 0.
[[nodiscard]] std::uint32_t encode(DType type, double value);

/// `value` rounded to `type` as encode does.
[[nodiscard]] double rounded(DType type, double value);

/// Place of `value`, which `type` holds exactly, among the type's values: neighbours differ by one.
[[nodiscard]] std::int64_t ordinal(DType type, double value);

/// Distance from `value` to the next larger magnitude of `type`: its unit in the last place.
[[nodiscard]] double unit(DType type, double value);

}  // namespace kerncast::reference
