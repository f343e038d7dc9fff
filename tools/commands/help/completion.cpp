#include "tools/commands/help/completion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "kerncast/op_definition.hpp"
#include "runtime/util/nearest_name.hpp"
#include "tools/commands/command.hpp"
#include "tools/io/output.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

const std::vector<std::string> shells = {"bash", "zsh", "fish"};

/// Calls `visit` for every command below `command` and for itself, with the words that lead to it.
void for_each_command(const CommandDescription& command, const std::string& path,
                      const std::function<void(const std::string&, const CommandDescription&)>& visit) {
  visit(path, command);
  for (const CommandDescription& below : command.commands) {
    for_each_command(below, path + " " + below.name, visit);
  }
}

/// The words that may stand after the words of a command: commands, options, and ops where it takes one.
std::vector<std::string> words_of(const CommandDescription& command, const std::vector<std::string>& ops) {
  std::vector<std::string> words;
  words.reserve(command.commands.size());
  for (const CommandDescription& below : command.commands) {
    words.push_back(below.name);
  }
  for (const OptionDescription& option : command.options) {
    if (!option.positional) {
      words.insert(words.end(), option.names.begin(), option.names.end());
    } else if (option.names.front() == "op") {
      words.insert(words.end(), ops.begin(), ops.end());
    }
  }
  return words;
}

/// The cases of a shell's `case` that follow a word into a command, and those that list what may stand there.
struct Cases {
  std::string steps;
  std::string lists;
};

Cases cases_of(const CommandDescription& root, const std::vector<std::string>& ops, const char* list) {
  Cases cases;
  for_each_command(root, "", [&](const std::string& path, const CommandDescription& command) {
    if (!path.empty()) {
      cases.steps += fmt::format("{}\"{}\"", cases.steps.empty() ? "" : "|", path);
    }
    cases.lists +=
        fmt::format("    \"{}\") {}=\"{}\" ;;\n", path, list, fmt::join(words_of(command, ops), " "));
  });
  return cases;
}

std::string bash_script(const CommandDescription& root, const std::vector<std::string>& ops) {
  const Cases cases = cases_of(root, ops, "words");
  return fmt::format(
      "# bash completion for kerncast\n"
      "_kerncast() {{\n"
      "  local current=\"${{COMP_WORDS[COMP_CWORD]}}\" path=\"\" word words=\"\"\n"
      "  for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n"
      "    case \"$path $word\" in {}) path=\"$path $word\" ;; esac\n"
      "  done\n"
      "  case \"$path\" in\n{}  esac\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
      "}}\n"
      "complete -o default -F _kerncast kerncast\n",
      cases.steps, cases.lists);
}

std::string zsh_script(const CommandDescription& root, const std::vector<std::string>& ops) {
  const Cases cases = cases_of(root, ops, "list");
  return fmt::format(
      "#compdef kerncast\n"
      "_kerncast() {{\n"
      "  local at=\"\" word list=\"\"\n"
      "  for word in \"${{(@)words[2,CURRENT-1]}}\"; do\n"
      "    case \"$at $word\" in {}) at=\"$at $word\" ;; esac\n"
      "  done\n"
      "  case \"$at\" in\n{}  esac\n"
      "  compadd -- ${{=list}} || _files\n"
      "}}\n"
      "if [ \"$funcstack[1]\" = _kerncast ]; then _kerncast \"$@\"; else compdef _kerncast kerncast; fi\n",
      cases.steps, cases.lists);
}

std::string fish_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    out += c == '\'' || c == '\\' ? fmt::format("\\{}", c) : std::string(1, c);
  }
  return out + "'";
}

std::string fish_script(const CommandDescription& root, const std::vector<std::string>& ops) {
  std::string text = "# fish completion for kerncast\n";
  for_each_command(root, "", [&](const std::string& path, const CommandDescription& command) {
    std::string condition = "__fish_use_subcommand";
    if (!path.empty()) {
      condition = "true";
      std::string word;
      for (std::size_t at = 1; at < path.size(); at += word.size() + 1) {
        word = path.substr(at, path.find(' ', at) - at);
        condition += fmt::format("; and __fish_seen_subcommand_from {}", word);
      }
    }
    const std::string begin = fmt::format("complete -c kerncast -n {}", fish_quoted(condition));
    for (const CommandDescription& below : command.commands) {
      text += fmt::format("{} -f -a {} -d {}\n", begin, below.name, fish_quoted(below.help));
    }
    for (const OptionDescription& option : command.options) {
      if (option.positional && option.names.front() == "op") {
        text += fmt::format("{} -a {}\n", begin, fish_quoted(fmt::format("{}", fmt::join(ops, " "))));
      }
      for (const std::string& name : option.positional ? std::vector<std::string>() : option.names) {
        const bool is_long = name.starts_with("--");
        text += fmt::format("{} {} {}{} -d {}\n", begin, is_long ? "-l" : "-s", name.substr(is_long ? 2 : 1),
                            option.value.empty() ? "" : " -r", fish_quoted(option.help));
      }
    }
  });
  return text;
}

}  // namespace

std::string completion_script(const std::string& shell, const CommandDescription& root,
                              const std::vector<std::string>& ops) {
  if (shell == "bash") {
    return bash_script(root, ops);
  }
  if (shell == "zsh") {
    return zsh_script(root, ops);
  }
  if (shell == "fish") {
    return fish_script(root, ops);
  }
  const std::string nearest = nearest_name(shell, shells);
  throw UsageError(fmt::format("there is no completion for '{}'{}; known shells: {}", shell,
                               nearest.empty() ? "" : fmt::format(" (did you mean {}?)", nearest),
                               fmt::join(shells, ", ")));
}

void add_completion_command(const Command& root, CommandContext& /*context*/) {
  const Command command = root.add("completion", "Print a completion script for bash, zsh or fish");
  const auto shell = std::make_shared<std::string>();
  command.option("shell", *shell, "bash, zsh or fish").required();
  command.footer(
      "Examples:\n"
      "  eval \"$(kerncast completion bash)\"\n"
      "  kerncast completion fish > ~/.config/fish/completions/kerncast.fish");
  command.action([root, shell] {
    std::vector<std::string> ops;
    for (const OpDefinition* op : OpRegistry::instance().all()) {
      ops.push_back(op->name);
    }
    print(completion_script(*shell, root.describe(), ops));
    return exit_fine;
  });
}

}  // namespace kerncast::tools
