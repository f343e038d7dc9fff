#include "runtime/simulator/machine/source_map.hpp"

#include <algorithm>
#include <charconv>

namespace kerncast::simulator {

namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
}

/// Takes a number off the front; -1 if there is none.
int take_number(std::string_view& text) {
  text = trimmed(text);
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) {
    return -1;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take_word(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word) || text.size() == word.size() ||
      (text[word.size()] != ' ' && text[word.size()] != '\t')) {
    return false;
  }
  text.remove_prefix(word.size());
  return true;
}

}  // namespace

SourceMap::SourceMap(std::string_view ptx) {
  int number = 0;
  while (!ptx.empty()) {
    ++number;
    const std::size_t end = std::min(ptx.find('\n'), ptx.size());
    std::string_view line = trimmed(ptx.substr(0, end));
    ptx.remove_prefix(std::min(end + 1, ptx.size()));
    if (take_word(line, ".loc")) {
      const int file = take_number(line);
      const int source = take_number(line);
      if (file >= 0 && source >= 0) {
        locations_.push_back({number, file, source});
      }
    } else if (take_word(line, ".file")) {
      const int file = take_number(line);
      const std::size_t open = line.find('"');
      const std::size_t close = line.find('"', open == std::string_view::npos ? open : open + 1);
      if (file >= 0 && close != std::string_view::npos) {
        files_.push_back({file, std::string(line.substr(open + 1, close - open - 1))});
      }
    } else if (line.find(".entry") != std::string_view::npos ||
               line.find(".func") != std::string_view::npos) {
      // The line info of a function ends where the next function begins.
      locations_.push_back({number, -1, 0});
    }
  }
}

SourcePlace SourceMap::at(int ptx_line) const {
  const auto after =
      std::upper_bound(locations_.begin(), locations_.end(), ptx_line,
                       [](int line, const Location& location) { return line < location.ptx_line; });
  if (after == locations_.begin()) {
    return {};
  }
  const Location& location = *std::prev(after);
  const auto file = std::find_if(files_.begin(), files_.end(),
                                 [&](const File& candidate) { return candidate.number == location.file; });
  if (file == files_.end() || location.line == 0) {
    return {};
  }
  return {file->name, location.line};
}

}  // namespace kerncast::simulator
