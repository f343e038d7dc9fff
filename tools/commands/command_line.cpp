#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "kerncast/error.hpp"
#include "kerncast/version.hpp"
#include "runtime/util/nearest_name.hpp"
#include "runtime/util/printable.hpp"
#include "tools/commands/command.hpp"
#include "tools/io/environment_variables.hpp"
#include "tools/io/output.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

constexpr const char* description =
    "Compiles CUDA kernels from templates at run time: specialises, compiles with NVRTC, caches, launches "
    "and "
    "verifies them.";

std::string environment_help() {
  std::string text = "Environment:\n";
  for (const EnvironmentVariable& variable : environment_variables()) {
    text += fmt::format("  {:<34}{}\n", variable.name, variable.help);
  }
  return text +
         "Exit codes: 0 what was asked for is done, 1 the work failed, 2 bad usage, 130 stopped by Ctrl-C.";
}

/// Reports `message` on standard error, and with --json also as JSON on standard output: on one line, since a
/// command whose output is a line for each event may fail after some of them.
void report(CommandContext& context, std::string_view code, std::string_view message) {
  context.console.end_progress();
  context.console.error(message);
  if (context.json) {
    print_json_line({{"error", {{"code", code}, {"message", message}}}});
  }
}

/// The arguments of the command, without those that hold for every command wherever they stand.
struct GlobalArguments {
  std::vector<std::string> rest;
  bool json = false;
  std::string color = "auto";

  /// Takes --color WHEN out, and puts a --json that stands before the command behind it.
  GlobalArguments(int argc, const char* const* argv) {
    bool leading_json = false;
    bool in_command = false;
    for (int i = 1; i < argc; ++i) {
      const std::string_view word = argv[i];
      if (word == "--color" && i + 1 < argc) {
        color = argv[++i];
      } else if (word.starts_with("--color=")) {
        color = word.substr(8);
      } else if (word == "--json" && !in_command) {
        leading_json = true;
      } else {
        rest.emplace_back(word);
      }
      in_command = in_command || !word.starts_with('-');
      json = json || word == "--json" || word == "--json=true";
    }
    if (leading_json) {
      rest.emplace_back("--json");
    }
  }
};

/// The first option in `words` that `command` does not have, and the nearest that it has. Both may be empty.
struct UnknownOption {
  std::string name;
  std::string nearest;
};

UnknownOption unknown_option(const CLI::App& command, const std::vector<std::string>& words) {
  std::vector<std::string> known;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      known.push_back("--" + name);
    }
  }
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find('='));
    if (name.starts_with("--") && std::find(known.begin(), known.end(), name) == known.end()) {
      return {name, nearest_name(name, known)};
    }
  }
  return {};
}

std::string suggestion(const std::string& nearest) {
  return nearest.empty() ? std::string() : fmt::format(" (did you mean {}?)", nearest);
}

/// True if a word after `command` may be something else than the name of a command below it.
bool takes_positional(const CLI::App& command) {
  const std::vector<const CLI::Option*> options = command.get_options();
  return std::any_of(options.begin(), options.end(),
                     [](const CLI::Option* option) { return option->get_positional(); });
}

/// The message for a command line that CLI11 rejects: its error and the command whose help to read. For an
/// unknown command it names the nearest known one.
std::string usage_text(const CLI::App& root, const CLI::ParseError& error,
                       const std::vector<std::string>& words) {
  std::string text = error.what();
  constexpr std::string_view flag_with_value = " was given a disallowed flag override";
  if (text.ends_with(flag_with_value)) {
    text = fmt::format("--{} takes no value", text.substr(0, text.size() - flag_with_value.size()));
  }
  std::string path = "kerncast";
  const CLI::App* reached = &root;
  for (const std::string& word : words) {
    if (word.starts_with('-')) {
      break;
    }
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* command : reached->get_subcommands([](const CLI::App*) { return true; })) {
      names.push_back(command->get_name());
      next = command->get_name() == word ? command : next;
    }
    if (next == nullptr) {
      if (!names.empty() && !takes_positional(*reached)) {
        text = fmt::format("unknown command '{}'{}", word, suggestion(nearest_name(word, names)));
      }
      break;
    }
    reached = next;
    path += fmt::format(" {}", word);
  }
  const UnknownOption unknown = unknown_option(*reached, words);
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
    text += suggestion(unknown.nearest);
  } else if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError) &&
             !unknown.name.empty()) {
    // The required option is often the one that is misspelt.
    text += fmt::format("; there is no {}{}", unknown.name, suggestion(unknown.nearest));
  }
  text.erase(text.find_last_not_of(" \n") + 1);
  return fmt::format("{}; see {} --help", text, path);
}

/// Throws UsageError for an option that ends with its equals sign, since CLI11 would give it the next word.
void check_values(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word.starts_with("--") && word.find('=') == word.size() - 1) {
      throw UsageError(fmt::format("{} has no value", word));
    }
  }
}

int act(CommandContext& context) {
  try {
    return context.action();
  } catch (const UsageError& error) {
    report(context, error_name(error.code()), error.what());
    return exit_usage;
  } catch (const Error& error) {
    report(context, error_name(error.code()), error.what());
    return error.code() == ErrorCode::invalid_argument ? exit_usage : exit_failed;
  } catch (const std::bad_alloc&) {
    report(context, error_name(ErrorCode::out_of_memory),
           "out of host memory; use smaller tensors or fewer rows");
    return exit_failed;
  } catch (const std::exception& error) {
    report(context, error_name(ErrorCode::internal), error.what());
    return exit_failed;
  }
}

int parse_and_act(int argc, const char* const* argv) {
  CommandContext context;
  GlobalArguments arguments(argc, argv);
  context.json = arguments.json;
  CLI::App root(description, "kerncast");
  root.set_version_flag("-V,--version", "kerncast " KERNCAST_VERSION, "Print the version and exit");
  root.require_subcommand(1);
  root.fallthrough(false);
  const Command command(root, context);
  for (const auto add : {add_run_command, add_ops_command, add_inspect_command, add_profile_command,
                         add_bench_command, add_tune_command, add_cache_command, add_key_command,
                         add_warm_command, add_record_command, add_trace_command, add_worker_command,
                         add_doctor_command, add_help_command, add_completion_command}) {
    add(command, context);
  }
  // Declared for the help; GlobalArguments has taken it.
  std::string color;
  root.add_option("--color", color, "auto, always or never; auto: on a terminal, unless NO_COLOR is set");
  // A footer that is set before the commands would be theirs too.
  root.footer(environment_help());
  try {
    context.console.set_color(arguments.color);
    check_values(arguments.rest);
    std::vector<std::string> words(arguments.rest.rbegin(), arguments.rest.rend());
    root.parse(std::move(words));
  } catch (const UsageError& error) {
    report(context, error_name(error.code()), error.what());
    return exit_usage;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      std::ostringstream out;
      root.exit(error, out, out);
      print(out.str());
      return flush_output() ? exit_fine : exit_failed;
    }
    report(context, "usage", usage_text(root, error, arguments.rest));
    return exit_usage;
  }
  const int code = act(context);
  if (!flush_output()) {
    context.console.error("cannot write to standard output");
    return code == exit_fine ? exit_failed : code;
  }
  return code;
}

/// Reports what ended the command before it had a console, or at its end.
void report_last(const char* message) noexcept {
  try {
    std::fprintf(stderr, "kerncast: error: %s\n", printable(message).c_str());
  } catch (...) {
    std::fputs("kerncast: error: out of memory\n", stderr);
  }
}

}  // namespace

int run_command_line(int argc, const char* const* argv) noexcept {
  try {
    return parse_and_act(argc, argv);
  } catch (const std::exception& error) {
    report_last(error.what());
  } catch (...) {
    std::fputs("kerncast: error: unknown failure\n", stderr);
  }
  return exit_failed;
}

}  // namespace kerncast::tools
