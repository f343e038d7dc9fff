#include "tools/io/output.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>

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

TEST_CASE("things are counted in the singular and the plural") {
  CHECK(counted(0, "entry") == "0 entries");
  CHECK(counted(1, "entry") == "1 entry");
  CHECK(counted(2, "entry") == "2 entries");
  CHECK(counted(2, "key") == "2 keys");
  CHECK(counted(1, "quarantined file") == "1 quarantined file");
  CHECK(counted(3, "kernel") == "3 kernels");
}

TEST_CASE("a table is as wide as it is told, and loses nothing") {
  Table table({{"op"}, {"specialisation"}, {"compile ms", Align::right}, {"rows", Align::right}});
  table.add_row({"norm.fused_add_rms_norm_quant", "hidden=7168 scaling=per_token_group", "1234.5", "16"});
  table.add_row({"norm.rms_norm", "hidden=7168", "cached", "1"});
  CHECK(table.text() == table.text(1000));
  CHECK(table.text().find("norm.fused_add_rms_norm_quant") != std::string::npos);
  for (const std::size_t columns : {80U, 60U, 40U}) {
    std::istringstream lines(table.text(columns));
    std::string first_column;
    for (std::string line; std::getline(lines, line);) {
      INFO(columns << ": " << line);
      CHECK(line.size() <= columns);
      first_column += line.substr(0, line.find(' '));
    }
    CHECK(first_column.find("norm.fused_add_rms_norm_quant") != std::string::npos);
    CHECK(table.text(columns).find("1234.5") != std::string::npos);
  }
  // A title gives way before a cell does.
  Table narrow({{"a long title", Align::right}, {"b"}});
  narrow.add_row({"1", "x"});
  CHECK(narrow.text(9) == "    a  b\n long\ntitle\n    1  x\n");
  // Characters of several bytes are not cut apart.
  Table greek({{"µ"}});
  greek.add_row({"µµµµµµµµµµ"});
  CHECK(greek.text(8) == "µ\nµµµµµµµµ\nµµ\n");
}

TEST_CASE("a progress line never exceeds the terminal") {
  CHECK(progress_line(5, 10, "norm.rms_norm", 80) == "[############            ] 5/10  norm.rms_norm");
  CHECK(progress_line(10, 10, "", 80) == "[########################] 10/10  ");
  CHECK(progress_line(0, 0, "x", 80) == "[########################] 0/0  x");
  CHECK(progress_line(12, 10, "a longer text", 20).size() == 20);
  CHECK_THAT(progress_line(5, 10, "3 cached, 2 failed", 40), Catch::Contains("3 cached, 2 failed"));
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
