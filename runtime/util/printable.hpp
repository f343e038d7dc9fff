#pragma once

#include <string>
#include <string_view>

namespace kerncast {

/// `text` for a terminal, which obeys control characters wherever they come from: a file's name, a server, a
/// model's config. Control characters other than newline and tab, and the characters that turn the direction
/// of writing, are written as \u001b; bytes that are not UTF-8 as \xff. Such a text is also valid inside JSON
/// if `text` was.
[[nodiscard]] std::string printable(std::string_view text);

/// printable() on one line: a newline is written as \n, so that no name can begin a line of its own.
[[nodiscard]] std::string printable_line(std::string_view text);

}  // namespace kerncast
