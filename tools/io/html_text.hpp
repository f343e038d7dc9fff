#pragma once

#include <string>
#include <string_view>

namespace kerncast::tools {

/// Escapes `text` for use in HTML content or in a quoted attribute value.
[[nodiscard]] inline std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace kerncast::tools
