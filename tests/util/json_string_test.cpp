#include "runtime/util/json_string.hpp"

#include <catch2/catch.hpp>
#include <string>

namespace {

using kerncast::json_string;

TEST_CASE("a text is a JSON string, whatever characters it has") {
  CHECK(json_string("") == R"("")");
  CHECK(json_string("norm.rms_norm") == R"("norm.rms_norm")");
  CHECK(json_string(R"(a "quoted" \ path)") == R"("a \"quoted\" \\ path")");
  CHECK(json_string("one\ntwo\tthree\x1b") == R"("one\u000atwo\u0009three\u001b")");
  CHECK(json_string(std::string("a\0b", 3)) == R"("a\u0000b")");
  CHECK(json_string("µs 漢字 👩‍🔬\x7f") == "\"µs 漢字 👩‍🔬\x7f\"");
}

TEST_CASE("a long text is cut behind a whole character") {
  CHECK(json_string("abcdef", 6) == "\"abcdef\"");
  CHECK(json_string("abcdefg", 6) == "\"abcdef...\"");
  CHECK(json_string("abcdeµg", 6) == "\"abcdeµ...\"");
  CHECK(json_string("\"\"\"\"", 4) == R"("\"\"...")");
  CHECK(json_string(std::string(10'000, '\n'), 100).size() < 120);
}

}  // namespace
