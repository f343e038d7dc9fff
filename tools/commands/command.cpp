#include "tools/commands/command.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <utility>
#include <vector>

namespace kerncast::tools {

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
  option_.check(CLI::PositiveNumber);
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
  return CommandOption(*app_->add_option(name, value, help));
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
  app_->add_flag(name, value, help);
}

void Command::json_flag() const {
  flag("--json", context_->json, "Print JSON instead of a table");
}

void Command::footer(const std::string& text) const {
  app_->footer(text);
}

void Command::action(std::function<int()> work) const {
  app_->callback([context = context_, work = std::move(work)] { context->action = work; });
}

bool Command::given(const std::string& option) const {
  return app_->count(option) > 0;
}

}  // namespace kerncast::tools
