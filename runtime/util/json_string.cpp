#include "runtime/util/json_string.hpp"

#include <fmt/format.h>

namespace kerncast {

std::string json_string(std::string_view text, std::size_t most) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool begins_character = (byte & 0xC0U) != 0x80U;
    if (out.size() > most && begins_character) {
      return out + "...\"";
    }
    if (byte < 0x20U) {
      out += fmt::format("\\u{:04x}", byte);
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  return out + '"';
}

}  // namespace kerncast
