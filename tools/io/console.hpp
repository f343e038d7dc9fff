#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>

namespace kerncast::tools {

/// Standard error of the command: messages, and below them one progress bar. The bar is drawn only on a
/// terminal, so that logs contain no control characters. Those of a message are written out by printable(),
/// and its further lines are indented. Thread-safe.
class Console {
 public:
  Console();
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  /// Colours the kind of a message if `when` is "always", never if it is "never", and if it is "auto" on a
  /// terminal unless NO_COLOR is set. Throws UsageError for another text.
  void set_color(std::string_view when);

  /// Writes "kerncast: warning: ..." (note, error) on a line of its own, above the bar.
  void warning(std::string_view message);
  void note(std::string_view message);
  void error(std::string_view message);

  /// Shows the bar at `done` of `total`, followed by `text`.
  void progress(std::size_t done, std::size_t total, std::string_view text);
  [[nodiscard]] bool is_terminal() const { return terminal_; }
  /// Removes the bar. Call before writing results to standard output.
  void end_progress();

 private:
  void message(std::string_view kind, std::string_view text);
  void draw() const;
  void erase() const;

  std::mutex mutex_;
  bool terminal_;
  bool color_ = false;
  std::size_t columns_ = 80;
  bool shown_ = false;
  std::string bar_;
};

/// A progress line of at most `columns` characters: "[#####     ]  5/10  text".
[[nodiscard]] std::string progress_line(std::size_t done, std::size_t total, std::string_view text,
                                        std::size_t columns);

}  // namespace kerncast::tools
