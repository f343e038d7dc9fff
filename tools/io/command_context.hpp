#pragma once

#include <functional>
#include <string>

#include "kerncast/runtime.hpp"
#include "tools/io/console.hpp"

namespace kerncast::tools {

constexpr int exit_fine = 0;
constexpr int exit_failed = 1;
constexpr int exit_usage = 2;
constexpr int exit_interrupted = 130;  ///< as shells report Ctrl-C

/// The parts that every command receives: the console for its messages, and whether results are printed as
/// JSON. Parsing the command line stores the work of the chosen command in `action`; it returns the exit
/// code.
struct CommandContext {
  Console console;
  bool json = false;
  std::function<int()> action;

  /// Options of a runtime whose warnings go to the console.
  [[nodiscard]] RuntimeOptions runtime_options();

  /// Checks that the file at `path` can be written, before any work; an empty path is none. If it stands for
  /// standard output, what is printed goes to standard error from now on. Throws UsageError if JSON is to be
  /// printed there too, else as check_output().
  void prepare_output(const std::string& path) const;
};

}  // namespace kerncast::tools
