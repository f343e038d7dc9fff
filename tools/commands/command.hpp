#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "tools/commands/command_description.hpp"
#include "tools/io/command_context.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace kerncast::tools {

/// An option or positional of a command.
class CommandOption {
 public:
  explicit CommandOption(CLI::Option& option) : option_(option) {}

  CommandOption& required();
  /// Accepts several values separated by commas.
  CommandOption& separated();
  /// The help text shows the default value.
  CommandOption& shows_default();
  CommandOption& between(std::int64_t least, std::int64_t most);
  CommandOption& positive();
  /// Accepts a number of bytes with an optional unit, such as 4GiB.
  CommandOption& bytes();
  /// Sets the name of the value in the help text.
  CommandOption& value_name(const char* name);

 private:
  CLI::Option& option_;
};

/// A command that is being declared. It hides CLI11 from the commands, since the headers of CLI11 take longer
/// to compile than a whole command.
class Command {
 public:
  Command(CLI::App& app, CommandContext& context) : app_(&app), context_(&context) {}

  /// Declares a command below this one.
  [[nodiscard]] Command add(const std::string& name, const std::string& help) const;
  /// The user must name one of the commands below this one.
  void require_one() const;
  /// Declares an option if `name` begins with dashes, else a positional argument. T is std::string, int,
  /// std::int64_t, std::uint64_t, or a vector of one of the first three. A value that is empty, another
  /// option, or no whole number of the type is an error of usage.
  template <class T>
  CommandOption option(const std::string& name, T& value, const std::string& help) const;
  void flag(const std::string& name, bool& value, const std::string& help) const;
  /// Declares the --json flag, which every command that prints data has.
  void json_flag() const;
  /// Sets the text at the end of the help.
  void footer(const std::string& text) const;
  /// Sets the work of this command. It returns the exit code. The work is not done if the user names a
  /// command below this one.
  void action(std::function<int()> work) const;
  /// The command called `name` directly below this one.
  [[nodiscard]] std::optional<Command> find(const std::string& name) const;
  /// The text that --help prints.
  [[nodiscard]] std::string help_text() const;
  /// Everything that was declared, here and below.
  [[nodiscard]] CommandDescription describe() const;
  /// Leaves the command out of the help: it is not for people.
  void hide() const;
  /// True if the user gave the option. Valid after parsing.
  [[nodiscard]] bool given(const std::string& option) const;

 private:
  CLI::App* app_;
  CommandContext* context_;
};

/// Each function declares a subcommand with its options and help.
void add_run_command(const Command& root, CommandContext& context);
void add_ops_command(const Command& root, CommandContext& context);
void add_inspect_command(const Command& root, CommandContext& context);
void add_profile_command(const Command& root, CommandContext& context);
void add_bench_command(const Command& root, CommandContext& context);
void add_cache_command(const Command& root, CommandContext& context);
void add_tune_command(const Command& root, CommandContext& context);
void add_warm_command(const Command& root, CommandContext& context);
void add_worker_command(const Command& root, CommandContext& context);
void add_record_command(const Command& root, CommandContext& context);
void add_trace_command(const Command& root, CommandContext& context);
void add_key_command(const Command& root, CommandContext& context);
void add_doctor_command(const Command& root, CommandContext& context);
void add_help_command(const Command& root, CommandContext& context);
void add_completion_command(const Command& root, CommandContext& context);

/// Runs the command: parses the arguments, does the work, reports every failure, and returns the exit code.
[[nodiscard]] int run_command_line(int argc, const char* const* argv) noexcept;

}  // namespace kerncast::tools
