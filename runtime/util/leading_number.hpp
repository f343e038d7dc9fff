#pragma once

#include <charconv>
#include <string_view>

namespace kerncast {

/// The integer at the start of `text`, such as 90 for "90a"; 0 if there is none, or if it does not fit.
[[nodiscard]] inline int leading_number(std::string_view text) noexcept {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace kerncast
