#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace kerncast {

/// A string literal as a template argument: ops that take the same arguments are distinct types of one
/// template, told apart by their name.
///
///     template <FixedName Name>
///     struct PerTokenArguments {
///       static constexpr std::string_view op_name = Name;
///       TensorView x;
///     };
///     using PerTokenFp8 = PerTokenArguments<"quant.per_token_fp8">;
template <std::size_t Size>
struct FixedName {
  char text[Size];  ///< with the terminating zero

  /// Copies the literal, with its terminating zero.
  // NOLINTNEXTLINE(google-explicit-constructor): a literal is the name.
  consteval FixedName(const char (&literal)[Size]) { std::copy_n(literal, Size, text); }

  /// The text without its terminating zero.
  // NOLINTNEXTLINE(google-explicit-constructor)
  [[nodiscard]] constexpr operator std::string_view() const noexcept { return {text, Size - 1}; }
};

}  // namespace kerncast
