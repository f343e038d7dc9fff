#include "tools/io/output.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <stdexcept>

#include "kerncast/error.hpp"
#include "tools/io/console.hpp"
#include "tools/io/json_text.hpp"

namespace kerncast::tools {
namespace {

TEST_CASE("a table is aligned, numbers to the right, without trailing spaces") {
  Table table({{"op"}, {"load µs", Align::right}, {"device"}});
  table.add_row({"norm.rms_norm", "7", "GPU"});
  table.add_row({"a", "12345678.0", ""});
  CHECK(table.text() ==
        "op                load µs  device\n"
        "norm.rms_norm           7  GPU\n"
        "a              12345678.0\n");
}

TEST_CASE("a table keeps every row on its line") {
  Table table({{"a"}, {"b"}});
  CHECK(table.empty());
  table.add_row({"one\ntwo\tthree"});
  CHECK(table.text() == "a              b\none two three\n");
  CHECK_THROWS_AS(table.add_row({"1", "2", "3"}), std::logic_error);
}

TEST_CASE("numbers are written for people") {
  CHECK(fixed(1.26, 1) == "1.3");
  CHECK(fixed(120.4, 0) == "120");
  CHECK(fixed(std::numeric_limits<double>::quiet_NaN(), 1) == "-");
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(1536) == "1.5 KiB");
  CHECK(human_bytes(20U << 20U) == "20.0 MiB");
  CHECK(human_bytes(std::numeric_limits<std::uint64_t>::max()) == "16.0 EiB");
  CHECK(utc_time(0) == "1970-01-01 00:00:00");
  CHECK(utc_time(1738328709) == "2025-01-31 13:05:09");
}

TEST_CASE("a progress line never exceeds the terminal") {
  CHECK(progress_line(5, 10, "norm.rms_norm", 80) == "[############            ] 5/10  norm.rms_norm");
  CHECK(progress_line(10, 10, "", 80) == "[########################] 10/10  ");
  CHECK(progress_line(0, 0, "x", 80) == "[########################] 0/0  x");
  CHECK(progress_line(12, 10, "x", 20).size() == 20);
}

TEST_CASE("malformed JSON is placed by line and column") {
  CHECK(parse_json("{\"a\": [1, 2]}", "f")["a"][1] == 2);
  CHECK_THROWS_WITH(parse_json("{\n\"a\": 1,\n}", "f"),
                    Catch::StartsWith("f: malformed JSON at line 3, column 1"));
  CHECK_THROWS_WITH(parse_json("{\"a\": {\"b\": 1, \"b\": 2}}", "f"), Catch::Contains("\"b\" occurs twice"));
  CHECK(parse_json("[{\"a\": 1}, {\"a\": 2}]", "f").size() == 2);
  CHECK_THROWS_AS(parse_json("1e999", "f"), Error);
}

}  // namespace
}  // namespace kerncast::tools
