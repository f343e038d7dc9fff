#include "runtime/util/printable.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>

namespace kerncast {
namespace {

/// A character and the number of bytes that it takes. No bytes: they are not UTF-8.
struct Character {
  std::uint32_t code = 0;
  std::size_t size = 0;
};

Character first_of(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80U) {
    return {lead, 1};
  }
  const std::size_t size = lead >= 0xF0U ? 4 : lead >= 0xE0U ? 3 : 2;
  if (lead < 0xC2U || lead > 0xF4U || text.size() < size) {
    return {};
  }
  std::uint32_t code = lead & (0xFFU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) {
      return {};
    }
    code = code << 6U | (byte(i) & 0x3FU);
  }
  constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800U && code <= 0xDFFFU;
  return code < least[size] || code > 0x10FFFFU || surrogate ? Character{} : Character{code, size};
}

bool is_control(std::uint32_t code) {
  return code < 0x20U || (code >= 0x7FU && code <= 0x9FU);
}

/// True for the marks, embeddings, overrides and isolates of bidirectional text, and for the line and
/// paragraph separators.
bool turns_text(std::uint32_t code) {
  return code == 0x61CU || code == 0x200EU || code == 0x200FU || (code >= 0x2028U && code <= 0x202EU) ||
         (code >= 0x2066U && code <= 0x2069U);
}

std::string escaped(std::string_view text, bool one_line) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto [code, size] = first_of(text);
    const std::size_t taken = size == 0 ? 1 : size;
    if (size == 0) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    } else if (code == '\n' && one_line) {
      out += "\\n";
    } else if (code != '\n' && code != '\t' && (is_control(code) || turns_text(code))) {
      out += fmt::format("\\u{:04x}", code);
    } else {
      out += text.substr(0, taken);
    }
    text.remove_prefix(taken);
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) {
  return escaped(text, false);
}

std::string printable_line(std::string_view text) {
  return escaped(text, true);
}

}  // namespace kerncast
