#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "cache/remote/address/characters.hpp"

namespace kerncast::cache {

/// Percent-encodes all but letters, digits and the characters of `plain_marks`. The signature of a request to
/// S3 covers the encoded text, so the encoding must not be left to libcurl.
[[nodiscard]] inline std::string percent_encoded(std::string_view text, std::string_view plain_marks) {
  std::string out;
  for (const char c : text) {
    const bool plain = is_letter_or_digit(c) || plain_marks.find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace kerncast::cache
