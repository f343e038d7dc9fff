#pragma once

#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>

namespace kerncast {

/// Element types. The numeric values are part of the specialisation key: append, never renumber.
enum class DType : std::uint8_t {
  f32 = 0,
  f16 = 1,
  bf16 = 2,
  fp8_e4m3 = 3,
  fp8_e5m2 = 4,
  ue8m0 = 5,  ///< a power of two: the exponent byte of an OCP MX scale
  i8 = 6,
  u8 = 7,
  i32 = 8,
  i64 = 9,
  f64 = 10,
};

/// Bytes of one element.
[[nodiscard]] constexpr std::int64_t size_of(DType type) noexcept {
  switch (type) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::i64:
    case DType::f64:
      return 8;
    default:
      return 1;
  }
}

/// "bf16", "fp8_e4m3", ...: the spelling of parameters and messages.
[[nodiscard]] constexpr std::string_view name_of(DType type) noexcept {
  constexpr std::string_view names[] = {"f32", "f16", "bf16", "fp8_e4m3", "fp8_e5m2", "ue8m0",
                                        "i8",  "u8",  "i32",  "i64",      "f64"};
  const auto index = static_cast<std::size_t>(type);
  return index < std::size(names) ? names[index] : std::string_view("invalid");
}

/// The type spelled `name`, if there is one.
[[nodiscard]] constexpr std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (std::uint8_t i = 0; i <= static_cast<std::uint8_t>(DType::f64); ++i) {
    if (name_of(static_cast<DType>(i)) == name) {
      return static_cast<DType>(i);
    }
  }
  return std::nullopt;
}

}  // namespace kerncast
