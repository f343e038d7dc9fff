#include "tests/templates/catalogue/stream_order.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace kerncast::test {
namespace {

/// Instructions that touch no memory but the parameters, and follow no branch.
constexpr std::string_view harmless[] = {"ld.param.", "mov.", "cvt.", "cvta.", "add.", "sub.",
                                         "mul.",      "mad.", "shl.", "shr.",  "and.", "or."};

std::string without_comments(std::string_view ptx) {
  std::string text;
  while (!ptx.empty()) {
    const std::string_view line = ptx.substr(0, ptx.find('\n'));
    text += line.substr(0, line.find("//"));
    text += '\n';
    ptx.remove_prefix(std::min(line.size() + 1, ptx.size()));
  }
  return text;
}

/// The text between the braces that open at or after `from`.
std::string_view body_after(std::string_view text, std::size_t from) {
  const std::size_t begin = std::min(text.find('{', from), text.size());
  int depth = 0;
  for (std::size_t at = begin; at < text.size(); ++at) {
    depth += text[at] == '{' ? 1 : text[at] == '}' ? -1 : 0;
    if (depth == 0) {
      return text.substr(begin + 1, at - begin - 1);
    }
  }
  return text.substr(begin);
}

/// The next statement of `text`, which loses it. A label belongs to the statement after it.
std::string_view take_statement(std::string_view& text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t\n{};"), text.size());
  text.remove_prefix(begin);
  const std::string_view statement = text.substr(0, text.find(';'));
  text.remove_prefix(statement.size());
  return statement;
}

bool is_harmless(std::string_view statement) {
  return statement.empty() || statement.front() == '.' ||
         std::any_of(std::begin(harmless), std::end(harmless),
                     [&](std::string_view name) { return statement.starts_with(name); });
}

std::string defect_of_body(std::string_view body) {
  constexpr std::string_view wait = "griddepcontrol.wait";
  int waits = 0;
  int launches = 0;
  while (!body.empty()) {
    const std::string_view statement = take_statement(body);
    if (waits == 0 && statement != wait && !is_harmless(statement)) {
      return fmt::format("'{}' comes before the wait", statement);
    }
    // Constant memory must not change while a kernel lives, which now begins before the wait.
    if (statement.starts_with("ld.global") && statement.find(".nc.") != std::string_view::npos) {
      return fmt::format("'{}' reads memory as constant", statement);
    }
    waits += statement.find(wait) != std::string_view::npos ? 1 : 0;
    launches += statement.find("griddepcontrol.launch_dependents") != std::string_view::npos ? 1 : 0;
  }
  return waits == 1 && launches == 1
             ? std::string()
             : fmt::format("it waits {} times and lets dependents go {} times", waits, launches);
}

}  // namespace

std::string stream_order_defect(std::string_view ptx, int sm, std::size_t kernels) {
  constexpr std::string_view entry = ".entry ";
  const std::string text = without_comments(ptx);
  if (sm < 90) {
    return text.find("griddepcontrol") == std::string::npos ? std::string()
                                                            : fmt::format("sm_{} has no griddepcontrol", sm);
  }
  std::size_t found = 0;
  for (std::size_t at = text.find(entry); at != std::string::npos; at = text.find(entry, at + 1)) {
    ++found;
    const std::string_view name =
        std::string_view(text).substr(at + entry.size(), text.find_first_of("(\n", at) - at - entry.size());
    if (const std::string defect = defect_of_body(body_after(text, at)); !defect.empty()) {
      return fmt::format("{}: {}", name, defect);
    }
  }
  return found == kernels ? std::string() : fmt::format("{} kernels in place of {}", found, kernels);
}

}  // namespace kerncast::test
