#include "cache/remote/server/s3_list_page.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <utility>

#include "cache/remote/address/characters.hpp"

namespace kerncast::cache {
namespace {

constexpr std::size_t most_keys = 10'000;
constexpr std::size_t deepest = 8;
constexpr std::size_t longest_text = 4096;
constexpr std::string_view spaces = " \t\r\n";

/// Appends the character of number `code` in UTF-8. False if there is no such character.
bool append_character(std::uint32_t code, std::string& out) {
  if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
    return false;
  }
  if (code < 0x80) {
    out += static_cast<char>(code);
    return true;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr std::array<std::uint32_t, 4> first{0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(first[static_cast<std::size_t>(more)] | (code >> (6 * more)));
  for (int i = more - 1; i >= 0; --i) {
    out += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F));
  }
  return true;
}

/// Appends the text of the entity called `name`, such as "amp" or "#38". False if it is not known.
bool append_entity(std::string_view name, std::string& out) {
  constexpr std::pair<std::string_view, char> known[] = {
      {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
  for (const auto& [text, character] : known) {
    if (name == text) {
      out += character;
      return true;
    }
  }
  if (!name.starts_with('#')) {
    return false;
  }
  name.remove_prefix(1);
  const bool hexadecimal = name.starts_with('x');
  name.remove_prefix(hexadecimal ? 1 : 0);
  std::uint32_t code = 0;
  const auto [end, error] =
      std::from_chars(name.data(), name.data() + name.size(), code, hexadecimal ? 16 : 10);
  return error == std::errc() && end == name.data() + name.size() && append_character(code, out);
}

/// Replaces the entities of `text`. Empty if one is not known.
std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t begin = std::min(text.find('&'), text.size());
    out += text.substr(0, begin);
    text.remove_prefix(begin);
    if (text.empty()) {
      break;
    }
    const std::size_t end = text.find(';');
    if (end == std::string_view::npos || !append_entity(text.substr(1, end - 1), out)) {
      return std::nullopt;
    }
    text.remove_prefix(end + 1);
  }
  return out;
}

bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter_or_digit(c) || std::string_view("_:.-").find(c) != std::string_view::npos;
  });
}

/// Reads a page from its first byte to its last.
class PageReader {
 public:
  explicit PageReader(std::string_view xml) : left_(xml) {}

  /// False, with the reason in `defect`, if the text is no page.
  bool read(S3ListPage& page, std::string& defect) {
    constexpr std::string_view mark = "\xEF\xBB\xBF";
    if (left_.starts_with(mark)) {
      left_.remove_prefix(mark.size());
    }
    bool good = skip_declaration();
    while (good && !(ended_ && left_.find_first_not_of(spaces) == std::string_view::npos)) {
      good = read_text() && read_tag(page);
    }
    good = good && (has_end_ || fail("it does not say whether it is the last one"));
    good = good && (!truncated_ || !page.next.empty() || fail("it does not say where it goes on"));
    if (!truncated_) {
      page.next.clear();
    }
    if (!good) {
      defect = "its list of objects cannot be read: ";
      defect += reason_;
    }
    return good;
  }

 private:
  bool fail(const char* reason) {
    reason_ = reason;
    return false;
  }

  bool skip_declaration() {
    if (!left_.starts_with("<?xml")) {
      return true;
    }
    const std::size_t end = left_.find("?>");
    if (end == std::string_view::npos) {
      return fail("its XML declaration has no end");
    }
    left_.remove_prefix(end + 2);
    return true;
  }

  /// Reads up to the next tag.
  bool read_text() {
    const std::size_t end = left_.find('<');
    if (end == std::string_view::npos) {
      return fail("it ends before its last element");
    }
    const std::string_view text = left_.substr(0, end);
    left_.remove_prefix(end);
    if (open_.empty() && text.find_first_not_of(spaces) != std::string_view::npos) {
      return fail("it has text outside its elements");
    }
    text_ = text;
    return true;
  }

  bool read_tag(S3ListPage& page) {
    const std::size_t end = end_of_tag();
    if (end == std::string_view::npos) {
      return fail("a tag has no end");
    }
    std::string_view tag = left_.substr(1, end - 1);
    left_.remove_prefix(end + 1);
    const bool closes = tag.starts_with('/');
    const bool is_empty = !closes && tag.ends_with('/');
    tag.remove_prefix(closes ? 1 : 0);
    tag.remove_suffix(is_empty ? 1 : 0);
    const std::string_view name = tag.substr(0, tag.find_first_of(spaces));
    if (!is_name(name)) {
      return fail("it has a tag that is no element");
    }
    if (closes) {
      return close(name, page);
    }
    if (!open(name)) {
      return false;
    }
    if (!is_empty) {
      return true;
    }
    text_ = {};
    return close(name, page);
  }

  /// The place of the > that ends the tag at the front, which attributes in quotes may also hold.
  [[nodiscard]] std::size_t end_of_tag() const {
    char quote = 0;
    for (std::size_t i = 1; i < left_.size(); ++i) {
      const char c = left_[i];
      if (quote != 0) {
        quote = c == quote ? '\0' : quote;
      } else if (c == '"' || c == '\'') {
        quote = c;
      } else if (c == '>') {
        return i;
      } else if (c == '<') {
        break;
      }
    }
    return std::string_view::npos;
  }

  bool open(std::string_view name) {
    if (ended_ || (open_.empty() && name != "ListBucketResult")) {
      return fail("it is no ListBucketResult");
    }
    if (is_leaf() || open_.size() == deepest) {
      return fail("its elements are nested too deeply");
    }
    open_.push_back(name);
    return true;
  }

  bool close(std::string_view name, S3ListPage& page) {
    if (open_.empty() || open_.back() != name) {
      return fail("an element ends that has not begun");
    }
    const bool good = !is_leaf() || keep(name, page);
    open_.pop_back();
    ended_ = open_.empty();
    return good;
  }

  /// True if the element that is open last has a text that is kept.
  [[nodiscard]] bool is_leaf() const {
    return (open_.size() == 2 && (open_[1] == "IsTruncated" || open_[1] == "NextContinuationToken")) ||
           (open_.size() == 3 && open_[1] == "Contents" && open_[2] == "Key");
  }

  bool keep(std::string_view name, S3ListPage& page) {
    std::optional<std::string> text = text_.size() <= longest_text ? decoded(text_) : std::nullopt;
    if (!text) {
      return fail("it has a text that is too long, or an entity that is not known");
    }
    if (name == "Key") {
      page.keys.push_back(std::move(*text));
      return page.keys.size() <= most_keys || fail("it has too many keys");
    }
    if (name == "NextContinuationToken") {
      page.next = std::move(*text);
      return true;
    }
    if (has_end_ || (*text != "true" && *text != "false")) {
      return fail("it does not say whether it is the last one");
    }
    has_end_ = true;
    truncated_ = *text == "true";
    return true;
  }

  std::string_view left_;
  std::string_view text_;               ///< the text before the tag that is read
  std::vector<std::string_view> open_;  ///< the elements that have begun and not ended
  bool ended_ = false;                  ///< the outermost element has ended
  bool has_end_ = false;                ///< IsTruncated was read
  bool truncated_ = false;
  const char* reason_ = "";
};

}  // namespace

std::optional<S3ListPage> parse_s3_list_page(std::string_view xml, std::string& defect) {
  S3ListPage page;
  if (!PageReader(xml).read(page, defect)) {
    return std::nullopt;
  }
  return page;
}

}  // namespace kerncast::cache
