#pragma once

#include <cstdint>
#include <functional>
#include <string>

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
  /// Several values in one word, between commas.
  CommandOption& separated();
  /// Help tells the value that stands without it.
  CommandOption& shows_default();
  CommandOption& between(std::int64_t least, std::int64_t most);
  CommandOption& positive();
  /// A number of bytes, which may have a unit, as 4GiB.
  CommandOption& bytes();
  /// What help calls the value.
  CommandOption& value_name(const char* name);

 private:
  CLI::Option& option_;
};

/// A command while it is declared. The only face of CLI11 that commands see: its headers cost each file that
/// reads them more than the rest of the command together.
class Command {
 public:
  Command(CLI::App& app, CommandContext& context) : app_(&app), context_(&context) {}

  /// Declares a command below this one.
  [[nodiscard]] Command add(const std::string& name, const std::string& help) const;
  /// One of the commands below this one has to be given.
  void require_one() const;
  /// A name with dashes is an option, one without a positional. T is std::string, int, std::int64_t or
  /// std::uint64_t, or a vector of one of the first three.
  template <class T>
  CommandOption option(const std::string& name, T& value, const std::string& help) const;
  void flag(const std::string& name, bool& value, const std::string& help) const;
  /// The --json flag, which every command that prints data has.
  void json_flag() const;
  /// What help ends with.
  void footer(const std::string& text) const;
  /// What to do when this is the command given; its result is the exit code.
  void action(std::function<int()> work) const;
  /// True once the option was parsed.
  [[nodiscard]] bool given(const std::string& option) const;

 private:
  CLI::App* app_;
  CommandContext* context_;
};

/// Each declares its subcommand with its options and help.
void add_run_command(const Command& root, CommandContext& context);
void add_ops_command(const Command& root, CommandContext& context);
void add_inspect_command(const Command& root, CommandContext& context);
void add_profile_command(const Command& root, CommandContext& context);
void add_cache_command(const Command& root, CommandContext& context);
void add_warm_command(const Command& root, CommandContext& context);
void add_worker_command(const Command& root, CommandContext& context);
void add_record_command(const Command& root, CommandContext& context);
void add_doctor_command(const Command& root, CommandContext& context);

/// The whole command: parses, acts, reports every failure, and returns the exit code. Throws nothing.
[[nodiscard]] int run_command_line(int argc, const char* const* argv) noexcept;

}  // namespace kerncast::tools
