#include "tools/commands/help/manual.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kerncast/version.hpp"
#include "tools/io/environment_variables.hpp"

namespace kerncast::tools {
namespace {

/// `text` as roff shows it literally.
std::string literal(std::string_view text) {
  std::string out;
  bool at_start = true;
  for (const char c : text) {
    if (at_start && (c == '.' || c == '\'')) {
      out += "\\&";
    }
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    at_start = c == '\n';
  }
  return out;
}

std::string item(const std::string& term, std::string_view help) {
  return fmt::format(".TP\n.B {}\n{}\n", literal(term), literal(help));
}

void add_command(std::string& page, const CommandDescription& command, const std::string& path) {
  page += fmt::format(".SS \"{}\"\n{}\n", literal(path), literal(command.help));
  for (const OptionDescription& option : command.options) {
    page += item(fmt::format("{}{}{}", fmt::join(option.names, ", "),
                             option.value.empty() || option.positional ? "" : " ",
                             option.positional ? "" : option.value),
                 option.help);
  }
  if (!command.footer.empty()) {
    page += fmt::format(".PP\n.nf\n{}\n.fi\n", literal(command.footer));
  }
  for (const CommandDescription& below : command.commands) {
    add_command(page, below, path + " " + below.name);
  }
}

}  // namespace

std::string manual_page(const CommandDescription& root) {
  std::string page = fmt::format(
      ".TH KERNCAST 1 \"\" \"kerncast {}\"\n.SH NAME\nkerncast \\- CUDA kernels compiled at run time\n"
      ".SH SYNOPSIS\n.B kerncast\nCOMMAND [OPTION...]\n.SH DESCRIPTION\n{}\n.SH OPTIONS\n",
      KERNCAST_VERSION, literal(root.help));
  for (const OptionDescription& option : root.options) {
    page += item(
        fmt::format("{}{}{}", fmt::join(option.names, ", "), option.value.empty() ? "" : " ", option.value),
        option.help);
  }
  page += ".SH COMMANDS\n";
  for (const CommandDescription& command : root.commands) {
    add_command(page, command, "kerncast " + command.name);
  }
  page += ".SH ENVIRONMENT\n";
  for (const EnvironmentVariable& variable : environment_variables()) {
    page += item(std::string(variable.name), variable.help);
  }
  page +=
      ".SH EXIT STATUS\n0: what was asked for is done. 1: the work failed. 2: bad usage. 130: stopped by "
      "Ctrl\\-C.\n";
  return page;
}

}  // namespace kerncast::tools
