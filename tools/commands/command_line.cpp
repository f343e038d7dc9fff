#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <sstream>
#include <string_view>

#include "kerncast/error.hpp"
#include "kerncast/version.hpp"
#include "runtime/util/nearest_name.hpp"
#include "tools/commands/command.hpp"
#include "tools/io/output.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

constexpr const char* description =
    "Compiles CUDA kernels from templates at run time: specialises, compiles with NVRTC, caches, launches "
    "and "
    "verifies them.";

constexpr const char* environment_help =
    "Environment:\n"
    "  KERNCAST_DRIVER          cuda, sim (the virtual GPU) or the path of a driver library\n"
    "  KERNCAST_NVRTC           toolkit, wheel, none or the path of an NVRTC library\n"
    "  KERNCAST_CACHE_DIR       directory of the compiled kernels\n"
    "  KERNCAST_CACHE_READONLY  cache directories and packs that are only read, separated by colons\n"
    "  KERNCAST_CACHE_REMOTE    URL of a server that machines share compiled kernels through\n"
    "  KERNCAST_STRICT          1: compile nothing; a kernel that is not cached is an error\n"
    "  KERNCAST_RECORD          file to which every requested kernel is appended, for kerncast warm "
    "--from-record\n"
    "  KERNCAST_TEMPLATE_DIR    kernel templates to use instead of the built-in ones\n"
    "Exit codes: 0 fine, 1 the work failed, 2 bad usage.";

/// Reports `message` on standard error, and with --json also as JSON on standard output.
void report(CommandContext& context, std::string_view code, std::string_view message) {
  context.console.end_progress();
  context.console.error(message);
  if (context.json) {
    print_json({{"error", {{"code", code}, {"message", message}}}});
  }
}

bool asks_for_json(int argc, const char* const* argv) {
  return std::any_of(argv, argv + argc, [](const char* text) { return std::strcmp(text, "--json") == 0; });
}

/// The message for a command line that CLI11 rejects: its error and the command whose help to read. For an
/// unknown command it names the nearest known one.
std::string usage_text(const CLI::App& root, const CLI::ParseError& error, int argc,
                       const char* const* argv) {
  std::string text = error.what();
  std::string path = "kerncast";
  const CLI::App* reached = &root;
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* command : reached->get_subcommands([](const CLI::App*) { return true; })) {
      names.push_back(command->get_name());
      next = command->get_name() == argv[i] ? command : next;
    }
    if (next == nullptr) {
      if (!names.empty()) {
        const std::string nearest = nearest_name(argv[i], names);
        text = fmt::format("unknown command '{}'{}", argv[i],
                           nearest.empty() ? std::string() : fmt::format(" (did you mean {}?)", nearest));
      }
      break;
    }
    reached = next;
    path += fmt::format(" {}", argv[i]);
  }
  text.erase(text.find_last_not_of(" \n") + 1);
  return fmt::format("{}; see {} --help", text, path);
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
  context.json = asks_for_json(argc, argv);
  CLI::App root(description, "kerncast");
  root.footer(environment_help);
  root.set_version_flag("--version", "kerncast " KERNCAST_VERSION, "Print the version and exit");
  root.require_subcommand(1);
  root.fallthrough(false);
  const Command command(root, context);
  for (const auto add :
       {add_run_command, add_ops_command, add_inspect_command, add_profile_command, add_cache_command,
        add_warm_command, add_record_command, add_worker_command, add_doctor_command}) {
    add(command, context);
  }
  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      std::ostringstream out;
      root.exit(error, out, out);
      print(out.str());
      return flush_output() ? exit_fine : exit_failed;
    }
    report(context, "usage", usage_text(root, error, argc, argv));
    return exit_usage;
  }
  const int code = act(context);
  if (!flush_output()) {
    context.console.error("cannot write to standard output");
    return code == exit_fine ? exit_failed : code;
  }
  return code;
}

}  // namespace

int run_command_line(int argc, const char* const* argv) noexcept {
  try {
    return parse_and_act(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kerncast: error: %s\n", error.what());
  } catch (...) {
    std::fputs("kerncast: error: unknown failure\n", stderr);
  }
  return exit_failed;
}

}  // namespace kerncast::tools
