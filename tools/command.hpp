#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <string>

#include "kerncast/runtime.hpp"
#include "tools/console.hpp"

namespace kerncast::tools {

/// What every command gets: where to speak, and whether to print JSON. A command's parse leaves its work in
/// `action`.
struct Session {
  Console console;
  bool json = false;
  std::function<int()> action;

  /// Options of a runtime whose warnings go to the console.
  [[nodiscard]] RuntimeOptions runtime_options();
};

constexpr int exit_fine = 0;
constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

/// Each declares its subcommand with its options and help.
void add_run_command(CLI::App& root, Session& session);
void add_ops_command(CLI::App& root, Session& session);
void add_inspect_command(CLI::App& root, Session& session);
void add_profile_command(CLI::App& root, Session& session);
void add_cache_command(CLI::App& root, Session& session);
void add_warm_command(CLI::App& root, Session& session);
void add_worker_command(CLI::App& root, Session& session);
void add_record_command(CLI::App& root, Session& session);
void add_doctor_command(CLI::App& root, Session& session);

/// The --json flag, which every command that prints data has.
void add_json_flag(CLI::App& command, Session& session);

/// The whole command: parses, acts, reports every failure, and returns the exit code. Throws nothing.
[[nodiscard]] int run_command_line(int argc, const char* const* argv) noexcept;

}  // namespace kerncast::tools
