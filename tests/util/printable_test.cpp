#include "runtime/util/printable.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

namespace {

using kerncast::printable;
using kerncast::printable_line;

TEST_CASE("text of every language is printed as it is") {
  for (const std::string text :
       {"", "plain\n\ttext", "µs – 42 °C", "漢字 कि עברית العربية", "👩‍🔬", "~ \\"}) {
    CHECK(printable(text) == text);
  }
  CHECK(printable_line("one\ntwo\tthree") == "one\\ntwo\tthree");
}

TEST_CASE("what a terminal would obey is written out") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a\x1b[2Jb", "a\\u001b[2Jb"},
      {"a\rb", "a\\u000db"},
      {"\a\b\v\f\x7f", "\\u0007\\u0008\\u000b\\u000c\\u007f"},
      {std::string("a\0b", 3), "a\\u0000b"},
      {"\xc2\x9b"
       "31m",
       "\\u009b31m"},
      {"\u202egnp.exe\u202c", "\\u202egnp.exe\\u202c"},
      {"\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029",
       "\\u2066\\u2067\\u2068\\u2069\\u200e\\u200f\\u061c\\u2028\\u2029"},
  };
  for (const auto& [text, expected] : cases) {
    CHECK(printable(text) == expected);
    CHECK(printable_line(text) == expected);
  }
}

TEST_CASE("bytes that are not UTF-8 are written out one by one") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\x9b"
       "2J",
       "\\x9b2J"},
      {"a\xff", "a\\xff"},
      {"\xc3", "\\xc3"},
      {"\xe6\xbc", "\\xe6\\xbc"},
      {"\xc3(", "\\xc3("},
      {"\xc0\x9b", "\\xc0\\x9b"},                    // an escape in too many bytes
      {"\xe0\x82\x9b", "\\xe0\\x82\\x9b"},           // the same
      {"\xf0\x80\x82\x9b", "\\xf0\\x80\\x82\\x9b"},  // the same
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // half of a pair
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},  // above U+10FFFF
      {"\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80"},
  };
  for (const auto& [text, expected] : cases) {
    CHECK(printable(text) == expected);
  }
}

TEST_CASE("no text of few bytes leaves a control byte") {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string text = {static_cast<char>(first), static_cast<char>(second)};
      const std::string shown = printable_line(text);
      for (const char c : shown) {
        const auto byte = static_cast<unsigned char>(c);
        REQUIRE((byte == '\t' || (byte >= 0x20 && byte != 0x7f)));
      }
      REQUIRE(printable_line(shown) == shown);
    }
  }
}

}  // namespace
