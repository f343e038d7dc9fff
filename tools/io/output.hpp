#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace kerncast::tools {

/// JSON whose members keep the order in which they were added.
using Json = nlohmann::ordered_json;

enum class Align : std::uint8_t { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
};

/// A table of text with column titles, aligned by spaces. Widths are counted in UTF-8 characters, not bytes.
class Table {
 public:
  explicit Table(std::vector<Column> columns);
  /// Adds a row. Missing cells are empty. Throws std::logic_error if there are more cells than columns.
  void add_row(std::vector<std::string> cells);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  /// The table as text. It ends with a newline, and no line has trailing spaces. If `columns` is not 0, cells
  /// are continued on further lines so that no line is wider, as long as every column keeps a few characters.
  [[nodiscard]] std::string text(std::size_t columns = 0) const;

 private:
  [[nodiscard]] std::vector<std::size_t> widths_within(std::size_t columns) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Formats `value` with `decimals` digits after the point; NaN gives "-".
[[nodiscard]] std::string fixed(double value, int decimals);

/// Formats a number of bytes, such as "512 B", "1.5 KiB" or "20.0 MiB".
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

/// A number of things, such as "1 entry" or "2 entries". The plural of `noun` ends with s, or with ies for y.
[[nodiscard]] std::string counted(std::uint64_t count, std::string_view noun);

/// Formats a time in seconds since the Unix epoch as UTC, such as "2025-01-31 13:05:09".
[[nodiscard]] std::string utc_time(std::int64_t seconds);

/// Writes to standard output, control characters and bytes that are not UTF-8 as printable() gives them.
void print(std::string_view text);

/// Writes what a script or another program reads, byte for byte. On a terminal this is print().
void print_exact(std::string_view text);

/// Writes `table` to standard output, as wide as the terminal.
void print(const Table& table);

/// Width of the terminal that standard output is, or the value of COLUMNS if that is set. 0 if it is none.
[[nodiscard]] std::size_t terminal_columns();

/// Writes `value` to standard output, indented, with a newline. Bytes that are not UTF-8 are replaced, and
/// all control characters in it are escaped.
void print_json(const Json& value);

/// Writes `value` to standard output on one line.
void print_json_line(const Json& value);

/// Flushes standard output. False if anything written to it was lost.
[[nodiscard]] bool flush_output();

}  // namespace kerncast::tools
