#include "tools/io/output.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "runtime/util/environment.hpp"
#include "runtime/util/printable.hpp"

namespace kerncast::tools {
namespace {

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

constexpr std::string_view gap = "  ";
constexpr std::size_t least_width = 6;

void print_bytes(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

/// The number of bytes of the first `count` characters of `text`.
std::size_t bytes_of(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  while (at < text.size() && (count > 0 || (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U)) {
    count -= (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U ? 1 : 0;
    ++at;
  }
  return at;
}

std::size_t longest_word(std::string_view text) {
  std::size_t longest = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    longest = std::max(longest, width_of(text.substr(at, end - at)));
    at = end + 1;
  }
  return longest;
}

/// `cell` in lines of at most `width` characters, broken at spaces, else behind a mark of a name, else
/// anywhere.
std::vector<std::string> lines_of(std::string_view cell, std::size_t width) {
  std::vector<std::string> lines;
  while (width_of(cell) > width) {
    const std::size_t most = bytes_of(cell, width);
    const std::size_t space = cell.rfind(' ', most);
    const std::size_t mark = cell.substr(0, most).find_last_of("_.,=/");
    if (space != std::string_view::npos && space > 0) {
      lines.emplace_back(cell.substr(0, space));
      cell.remove_prefix(space + 1);
      continue;
    }
    const std::size_t end = mark != std::string_view::npos && mark + 1 > most / 2 ? mark + 1 : most;
    lines.emplace_back(cell.substr(0, end));
    cell.remove_prefix(end);
  }
  lines.emplace_back(cell);
  return lines;
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  for (Column& column : columns_) {
    column.title = printable_line(column.title);
  }
}

void Table::add_row(std::vector<std::string> cells) {
  if (cells.size() > columns_.size()) {
    throw std::logic_error("a table row has more cells than the table has columns");
  }
  cells.resize(columns_.size());
  for (std::string& cell : cells) {
    std::replace_if(
        cell.begin(), cell.end(), [](char c) { return c == '\n' || c == '\t' || c == '\r'; }, ' ');
    cell = printable_line(cell);
  }
  rows_.push_back(std::move(cells));
}

std::vector<std::size_t> Table::widths_within(std::size_t columns) const {
  std::vector<std::size_t> widths;
  widths.reserve(columns_.size());
  for (const Column& column : columns_) {
    widths.push_back(width_of(column.title));
  }
  const auto total = [&] {
    return std::accumulate(widths.begin(), widths.end(), (widths.size() - 1) * gap.size());
  };
  const auto widen = [&] {
    for (const auto& row : rows_) {
      for (std::size_t i = 0; i < row.size(); ++i) {
        widths[i] = std::max(widths[i], width_of(row[i]));
      }
    }
  };
  widen();
  if (columns == 0 || total() <= columns) {
    return widths;
  }
  // A title of several words takes several lines before any cell does, and numbers stay whole.
  for (std::size_t i = 0; i < widths.size(); ++i) {
    widths[i] = longest_word(columns_[i].title);
  }
  widen();
  const auto shrink = [&](bool numbers) {
    while (total() > columns) {
      std::size_t* widest = nullptr;
      for (std::size_t i = 0; i < widths.size(); ++i) {
        if ((numbers || columns_[i].align == Align::left) && widths[i] > least_width &&
            (widest == nullptr || widths[i] > *widest)) {
          widest = &widths[i];
        }
      }
      if (widest == nullptr) {
        return;
      }
      --*widest;
    }
  };
  shrink(false);
  shrink(true);
  return widths;
}

std::string Table::text(std::size_t columns) const {
  const std::vector<std::size_t> widths = widths_within(columns);
  std::string out;
  const auto write_row = [&](const auto& cell_of) {
    std::vector<std::vector<std::string>> cells;
    std::size_t lines = 1;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      cells.push_back(lines_of(cell_of(i), widths[i]));
      lines = std::max(lines, cells.back().size());
    }
    for (std::size_t at = 0; at < lines; ++at) {
      std::string line;
      for (std::size_t i = 0; i < columns_.size(); ++i) {
        const std::string cell = at < cells[i].size() ? cells[i][at] : std::string();
        const std::string padding(widths[i] - width_of(cell), ' ');
        line += i == 0 ? "" : gap;
        line += columns_[i].align == Align::right ? padding + cell : cell + padding;
      }
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + '\n';
    }
  };
  write_row([&](std::size_t i) -> const std::string& { return columns_[i].title; });
  for (const auto& row : rows_) {
    write_row([&](std::size_t i) -> const std::string& { return row[i]; });
  }
  return out;
}

std::string fixed(double value, int decimals) {
  return std::isnan(value) ? "-" : fmt::format("{:.{}f}", value, decimals);
}

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1024) {
    return fmt::format("{} B", bytes);
  }
  static constexpr const char* units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024.0;
  std::size_t unit = 0;
  while (value >= 1024.0 && unit + 1 < std::size(units)) {
    value /= 1024.0;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string counted(std::uint64_t count, std::string_view noun) {
  // "entry", "entries", but "key", "keys".
  const bool changes_y = noun.ends_with('y') && !noun.ends_with("ey");
  if (count != 1 && changes_y) {
    noun.remove_suffix(1);
  }
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : changes_y ? "ies" : "s");
}

std::string utc_time(std::int64_t seconds) {
  const auto when = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (gmtime_r(&when, &parts) == nullptr) {
    return "-";
  }
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return {text, size};
}

void print(std::string_view text) {
  print_bytes(printable(text));
}

void print_exact(std::string_view text) {
  isatty(STDOUT_FILENO) != 0 ? print(text) : print_bytes(text);
}

void print(const Table& table) {
  print(table.text(terminal_columns()));
}

std::size_t terminal_columns() {
  const std::string wish = environment("COLUMNS");
  if (const long columns = std::strtol(wish.c_str(), nullptr, 10); columns > 0) {
    return static_cast<std::size_t>(columns);
  }
  winsize size{};
  const bool known = isatty(STDOUT_FILENO) != 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
  return known ? size.ws_col : 0;
}

void print_json(const Json& value) {
  print(value.dump(2, ' ', false, Json::error_handler_t::replace) + '\n');
}

void print_json_line(const Json& value) {
  print(value.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n');
}

bool flush_output() {
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
}

}  // namespace kerncast::tools
