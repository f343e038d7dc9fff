#include "tools/commands/command.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <charconv>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace kerncast::tools {
namespace {

/// The type of one value of an option.
template <class T>
struct ValueOf {
  using type = T;
};
template <class T>
struct ValueOf<std::vector<T>> {
  using type = T;
};

/// The fault of a value of an option, or an empty text. CLI11 takes an empty text for a missing option, the
/// next option for a missing value, a number that does not fit for the nearest that does, and 010 for eight.
template <class T>
std::string value_fault(const std::string& text) {
  if constexpr (std::is_same_v<T, std::string>) {
    if (text.starts_with("--")) {
      return "needs a value, and " + text + " is an option (a file of that name is written ./" + text + ")";
    }
    return text.empty() ? "must not be empty" : "";
  } else {
    const std::string_view digits = std::string_view(text).substr(text.starts_with('+') ? 1 : 0);
    T value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const bool padded = digits.size() > 1 && digits.front() == '0';
    if (error == std::errc::result_out_of_range) {
      return text + " is out of range";
    }
    const bool whole = error == std::errc() && end == digits.data() + digits.size() && !padded;
    return whole ? "" : text + " is not a whole number";
  }
}

}  // namespace

CommandOption& CommandOption::required() {
  option_.required();
  return *this;
}

CommandOption& CommandOption::separated() {
  option_.delimiter(',');
  return *this;
}

CommandOption& CommandOption::shows_default() {
  option_.capture_default_str();
  return *this;
}

CommandOption& CommandOption::between(std::int64_t least, std::int64_t most) {
  option_.check(CLI::Range(least, most));
  return *this;
}

CommandOption& CommandOption::positive() {
  // CLI11's own check writes out the whole range of a double.
  option_.check(
      [](const std::string& text) {
        return text.find_first_not_of("+0123456789") == std::string::npos &&
                       text.find_first_of("123456789") != std::string::npos
                   ? std::string()
                   : text + " is not a positive number";
      },
      "");
  return *this;
}

CommandOption& CommandOption::bytes() {
  option_.transform(CLI::AsSizeValue(false));
  return *this;
}

CommandOption& CommandOption::value_name(const char* name) {
  option_.type_name(name);
  return *this;
}

Command Command::add(const std::string& name, const std::string& help) const {
  return {*app_->add_subcommand(name, help), *context_};
}

void Command::require_one() const {
  app_->require_subcommand(1);
}

template <class T>
CommandOption Command::option(const std::string& name, T& value, const std::string& help) const {
  CLI::Option* option = app_->add_option(name, value, help);
  option->check([](const std::string& text) { return value_fault<typename ValueOf<T>::type>(text); }, "");
  return CommandOption(*option);
}

template CommandOption Command::option(const std::string&, std::string&, const std::string&) const;
template CommandOption Command::option(const std::string&, int&, const std::string&) const;
template CommandOption Command::option(const std::string&, std::int64_t&, const std::string&) const;
template CommandOption Command::option(const std::string&, std::uint64_t&, const std::string&) const;
template CommandOption Command::option(const std::string&, std::vector<std::string>&,
                                       const std::string&) const;
template CommandOption Command::option(const std::string&, std::vector<int>&, const std::string&) const;
template CommandOption Command::option(const std::string&, std::vector<std::int64_t>&,
                                       const std::string&) const;

void Command::flag(const std::string& name, bool& value, const std::string& help) const {
  // CLI11 would also take --flag=false, and of two the last.
  app_->add_flag(name, value, help)->disable_flag_override();
}

void Command::json_flag() const {
  flag("--json", context_->json, "Print JSON instead of a table");
}

void Command::footer(const std::string& text) const {
  app_->footer(text);
}

void Command::action(std::function<int()> work) const {
  app_->callback([app = app_, context = context_, work = std::move(work)] {
    // CLI11 calls this after the callback of a command below.
    if (app->get_subcommands().empty()) {
      context->action = work;
    }
  });
}

std::optional<Command> Command::find(const std::string& name) const {
  for (CLI::App* below : app_->get_subcommands([](CLI::App*) { return true; })) {
    if (below->get_name() == name) {
      return Command(*below, *context_);
    }
  }
  return std::nullopt;
}

std::string Command::help_text() const {
  std::string path = app_->get_name();
  for (const CLI::App* above = app_->get_parent(); above != nullptr; above = above->get_parent()) {
    path = above->get_name() + " " + path;
  }
  // CLI::App::help would show the help of the command that was parsed, which is `help` itself.
  return app_->get_formatter()->make_help(app_, path, CLI::AppFormatMode::Normal);
}

CommandDescription Command::describe() const {
  CommandDescription description{app_->get_name(), app_->get_description(), app_->get_footer(), {}, {}};
  for (const CLI::Option* option : app_->get_options()) {
    OptionDescription item;
    for (const std::string& name : option->get_lnames()) {
      item.names.push_back("--" + name);
    }
    for (const std::string& name : option->get_snames()) {
      item.names.push_back("-" + name);
    }
    item.positional = item.names.empty();
    if (item.positional) {
      item.names.push_back(option->get_name(true));
    }
    item.value = option->get_items_expected_max() > 0 ? option->get_type_name() : "";
    item.help = option->get_description();
    description.options.push_back(std::move(item));
  }
  for (CLI::App* below : app_->get_subcommands([](CLI::App*) { return true; })) {
    if (!below->get_group().empty()) {
      description.commands.push_back(Command(*below, *context_).describe());
    }
  }
  return description;
}

void Command::hide() const {
  app_->group("");
}

bool Command::given(const std::string& option) const {
  return app_->count(option) > 0;
}

}  // namespace kerncast::tools
