#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace kerncast::tools {

/// JSON with its members in the order they were added, as the command prints it.
using Json = nlohmann::ordered_json;

enum class Align : std::uint8_t { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
};

/// Rows of text under titles, aligned by spaces. Widths count characters of UTF-8, not bytes.
class Table {
 public:
  explicit Table(std::vector<Column> columns);
  /// Missing cells are empty; a row with more cells than columns is a defect and throws std::logic_error.
  void add_row(std::vector<std::string> cells);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  /// Ends with a newline; no line has trailing spaces.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// `value` with `decimals` digits after the point; "-" for NaN.
[[nodiscard]] std::string fixed(double value, int decimals);

/// "512 B", "1.5 KiB", "20.0 MiB".
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

/// Seconds since the epoch as "2025-01-31 13:05:09" in UTC.
[[nodiscard]] std::string utc_time(std::int64_t seconds);

/// Writes to standard output.
void print(std::string_view text);

/// Writes `value` to standard output, indented, with a newline. Bytes that are not UTF-8 are replaced.
void print_json(const Json& value);

/// False when something written to standard output did not arrive.
[[nodiscard]] bool flush_output();

}  // namespace kerncast::tools
