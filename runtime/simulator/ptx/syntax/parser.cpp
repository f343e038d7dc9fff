#include "runtime/simulator/ptx/syntax/parser.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "runtime/simulator/machine/machine.hpp"

namespace kerncast::simulator {

void Parser::skip_braces() {
  lex_.expect('{');
  for (int depth = 1; depth > 0;) {
    const Token token = lex_.take();
    if (token.kind == Token::Kind::end) {
      lex_.fail("'}'");
    }
    depth += token.is('{') ? 1 : token.is('}') ? -1 : 0;
  }
}

void Parser::skip_to_semicolon() {
  while (!lex_.accept(';')) {
    if (lex_.take().kind == Token::Kind::end) {
      lex_.fail("';'");
    }
  }
}

void Parser::parse_version(ModuleTarget& target) {
  const std::string_view text = lex_.peek().text;
  const std::size_t dot = text.find('.');
  int major = 0;
  int minor = 0;
  const auto parse = [&text](std::size_t first, std::size_t last, int& number) {
    const auto [end, error] = std::from_chars(text.data() + first, text.data() + last, number);
    return error == std::errc{} && end == text.data() + last && number >= 0 && number < 1000;
  };
  if (lex_.peek().kind != Token::Kind::number || dot == std::string_view::npos || !parse(0, dot, major) ||
      !parse(dot + 1, text.size(), minor)) {
    lex_.fail("the PTX version, such as 8.6");
  }
  lex_.take();
  target.version = major * 10 + std::min(minor, 9);
  target.version_text = text;
}

void Parser::parse_target(ModuleTarget& target) {
  const int line = lex_.line();
  const std::string_view name = lex_.expect_word();
  std::size_t at = 3;
  int number = 0;
  while (at < name.size() && name[at] >= '0' && name[at] <= '9' && number < 10000) {
    number = number * 10 + (name[at++] - '0');
  }
  const std::string_view suffix = name.substr(std::min(at, name.size()));
  if (!name.starts_with("sm_") || number == 0 || (!suffix.empty() && suffix != "a" && suffix != "f")) {
    throw DecodeError(fmt::format("PTX line {}: unknown .target '{}'", line, name), line);
  }
  target.sm = number;
  target.suffix = suffix.empty() ? '\0' : suffix.front();
  target.name = name;
  while (lex_.accept(',')) {
    const std::string_view option = lex_.expect_word();
    if (option != "debug" && option != "texmode_independent" && option != "texmode_unified") {
      throw DecodeError(fmt::format("PTX line {}: unknown .target option '{}'", line, option), line);
    }
  }
}

ModuleHeader Parser::parse_header() {
  ModuleHeader header;
  if (!lex_.accept(std::string_view(".version"))) {
    lex_.fail("'.version' at the start of the PTX");
  }
  parse_version(header.target);
  if (!lex_.accept(std::string_view(".target"))) {
    lex_.fail("'.target'");
  }
  header.target_line = lex_.line();
  parse_target(header.target);
  if (lex_.accept(std::string_view(".address_size")) && lex_.expect_integer(64, "an address size") != 64) {
    lex_.fail(".address_size 64");
  }
  return header;
}

bool Parser::next_directive(Directive& directive) {
  bool is_external = false;
  while (lex_.peek().kind != Token::Kind::end) {
    const Token token = lex_.take();
    const std::string_view word = token.text;
    if (word == ".visible" || word == ".weak" || word == ".common") {
      continue;
    }
    if (word == ".extern") {
      is_external = true;
      continue;
    }
    if (word == ".entry" || word == ".func") {
      directive.kind = Directive::Kind::function;
      directive.function = FunctionHeader{};
      directive.function.entry = word == ".entry";
      directive.function.is_external = is_external;
      parse_function(directive.function);
      return true;
    }
    if (word == ".global" || word == ".const" || word == ".shared") {
      directive.kind = Directive::Kind::variables;
      parse_variables(word == ".global"  ? Space::global
                      : word == ".const" ? Space::constant
                                         : Space::shared,
                      is_external, directive.variables);
      return true;
    }
    if (word == ".file" || word == ".loc") {
      const int line = token.line;
      while (lex_.peek().kind != Token::Kind::end && lex_.line() == line) {
        lex_.take();
      }
    } else if (word == ".section") {
      lex_.expect_word();
      skip_braces();
    } else if (word == ".pragma") {
      skip_to_semicolon();
    } else if (!token.is(';')) {
      throw DecodeError(
          fmt::format("PTX line {}: the virtual GPU does not know the directive '{}'", token.line, word),
          token.line);
    }
    is_external = false;
  }
  return false;
}

void Parser::parse_function(FunctionHeader& function) {
  while (lex_.peek().is(".attribute")) {
    lex_.skip_line();
  }
  if (!function.entry && lex_.peek().is('(')) {
    function.results = parse_parameters();
  }
  function.line = lex_.line();
  function.name = lex_.expect_word();
  if (lex_.peek().is('(')) {
    function.arguments = parse_parameters();
  }
  parse_kernel_directives(function);
  function.has_body = !lex_.accept(';') && !(function.is_external && !lex_.peek().is('{'));
  if (function.has_body) {
    lex_.expect('{');
    depth_ = 0;
  }
}

std::vector<ParameterSyntax> Parser::parse_parameters() {
  std::vector<ParameterSyntax> parameters;
  lex_.expect('(');
  if (lex_.accept(')')) {
    return parameters;
  }
  do {
    if (!lex_.accept(std::string_view(".param"))) {
      lex_.fail("'.param' (register parameters are not supported)");
    }
    ParameterSyntax& parameter = parameters.emplace_back();
    parameter.type = parse_variable_type();
    parameter.name = lex_.expect_word();
    bool open = false;
    parameter.size = parameter.type.element * parse_extents(parameter.type, &open);
    if (open) {
      lex_.fail("a parameter of known size");
    }
  } while (lex_.accept(','));
  lex_.expect(')');
  return parameters;
}

/// One to three thread counts; those left out are 1.
std::array<std::uint32_t, 3> Parser::parse_dimensions() {
  std::array<std::uint32_t, 3> counts{1, 1, 1};
  std::uint64_t product = 1;
  for (std::size_t i = 0; i < counts.size() && (i == 0 || lex_.accept(',')); ++i) {
    counts[i] = static_cast<std::uint32_t>(lex_.expect_integer(1U << 20, "a thread count"));
    product *= counts[i];
    if (product > (1U << 20)) {
      lex_.fail("a thread count of at most 1048576");
    }
  }
  return counts;
}

void Parser::parse_kernel_directives(FunctionHeader& function) {
  for (;;) {
    const Token token = lex_.peek();
    if (token.is(".maxclusterrank") || token.is(".blocksareclusters") || token.is(".reqnctapercluster") ||
        token.is(".explicitcluster")) {
      function.cluster_directives.push_back({token.text, token.line});
    }
    const bool required = lex_.peek().is(".reqntid");
    if (lex_.accept(std::string_view(".maxntid")) || lex_.accept(std::string_view(".reqntid"))) {
      const std::array<std::uint32_t, 3> counts = parse_dimensions();
      function.max_threads = counts[0] * counts[1] * counts[2];
      if (required) {
        function.required_block = counts;
      }
    } else if (lex_.accept(std::string_view(".reqnctapercluster"))) {
      function.required_cluster = parse_dimensions();
    } else if (lex_.accept(std::string_view(".explicitcluster"))) {
      function.explicit_cluster = true;
    } else if (lex_.accept(std::string_view(".minnctapersm")) || lex_.accept(std::string_view(".maxnreg")) ||
               lex_.accept(std::string_view(".maxnctapersm")) ||
               lex_.accept(std::string_view(".maxclusterrank"))) {
      lex_.expect_integer(1U << 20, "a number");
    } else if (lex_.accept(std::string_view(".pragma"))) {
      lex_.take();
      lex_.expect(';');
    } else if (!lex_.accept(std::string_view(".noreturn")) &&
               !lex_.accept(std::string_view(".blocksareclusters"))) {
      return;
    }
  }
}

}  // namespace kerncast::simulator
