#include "tools/io/console.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "runtime/util/environment.hpp"
#include "runtime/util/printable.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {

std::string progress_line(std::size_t done, std::size_t total, std::string_view text, std::size_t columns) {
  // On a narrow terminal the counts matter more than the bar.
  constexpr std::size_t wide = 72;
  const std::size_t cells = columns < wide ? columns / 8 : 24;
  const std::size_t filled = total == 0 ? cells : std::min(done, total) * cells / total;
  std::string line = fmt::format("[{:<{}}] {}/{}  {}", std::string(filled, '#'), cells, done, total, text);
  if (line.size() > columns) {
    line.resize(columns);
  }
  return line;
}

Console::Console() : terminal_(isatty(STDERR_FILENO) != 0) {
  const std::string term = environment("TERM");
  terminal_ = terminal_ && !term.empty() && term != "dumb";
  winsize size{};
  if (terminal_ && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) {
    columns_ = size.ws_col - 1U;
  }
}

void Console::set_color(std::string_view when) {
  if (when != "auto" && when != "always" && when != "never") {
    throw UsageError(fmt::format("--color {} is none of auto, always and never", when));
  }
  color_ = when == "always" || (when == "auto" && terminal_ && environment("NO_COLOR").empty());
}

Console::~Console() {
  end_progress();
}

void Console::warning(std::string_view message_text) {
  message("warning", message_text);
}

void Console::note(std::string_view message_text) {
  message("note", message_text);
}

void Console::error(std::string_view message_text) {
  message("error", message_text);
}

void Console::message(std::string_view kind, std::string_view raw) {
  // A line of a name must not look like a message of its own.
  std::string text = printable(raw);
  for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1)) {
    text.insert(at + 1, "  ");
  }
  const std::lock_guard lock(mutex_);
  erase();
  if (color_) {
    const int code = kind == "error" ? 31 : kind == "warning" ? 33 : 36;
    fmt::print(stderr, "kerncast: \033[1;{}m{}:\033[0m {}\n", code, kind, text);
  } else {
    fmt::print(stderr, "kerncast: {}: {}\n", kind, text);
  }
  draw();
}

void Console::progress(std::size_t done, std::size_t total, std::string_view text) {
  if (!terminal_) {
    return;
  }
  const std::lock_guard lock(mutex_);
  bar_ = progress_line(done, total, printable_line(text), columns_);
  erase();
  shown_ = true;
  draw();
}

void Console::end_progress() {
  const std::lock_guard lock(mutex_);
  erase();
  shown_ = false;
}

void Console::draw() const {
  if (shown_) {
    fmt::print(stderr, "{}", bar_);
    std::fflush(stderr);
  }
}

void Console::erase() const {
  if (shown_) {
    fmt::print(stderr, "\r\033[K");
  }
}

}  // namespace kerncast::tools
