#include <fmt/format.h>

#include "runtime/simulator/machine/machine.hpp"
#include "runtime/simulator/ptx/syntax/parser.hpp"
#include "runtime/simulator/ptx/types.hpp"

namespace kerncast::simulator {

namespace {

constexpr std::uint64_t variable_limit = std::uint64_t{1} << 32;

}  // namespace

VariableType Parser::parse_variable_type() {
  VariableType result;
  bool points = false;
  for (;;) {
    const int line = lex_.line();
    if (lex_.accept(std::string_view(".align"))) {
      const std::uint64_t align = lex_.expect_integer(1U << 16, "an alignment");
      if (align == 0 || (align & (align - 1)) != 0) {
        throw DecodeError(fmt::format("PTX line {}: alignment {} is not a power of two", line, align), line);
      }
      // After .ptr the alignment is that of the memory that the parameter points to.
      result.align = points ? result.align : align;
      continue;
    }
    if (lex_.accept(std::string_view(".ptr"))) {
      points = true;
      continue;
    }
    if (lex_.accept(std::string_view(".global")) || lex_.accept(std::string_view(".const")) ||
        lex_.accept(std::string_view(".shared")) || lex_.accept(std::string_view(".local"))) {
      continue;
    }
    if (lex_.accept(std::string_view(".attribute"))) {
      lex_.expect('(');
      while (!lex_.accept(')')) {
        if (lex_.take().kind == Token::Kind::end) {
          lex_.fail("')'");
        }
      }
      continue;
    }
    if (lex_.accept(std::string_view(".v2")) || lex_.accept(std::string_view(".v4"))) {
      lex_.fail("an array instead of a vector variable");
    }
    if (lex_.peek().kind != Token::Kind::word || lex_.peek().text.front() != '.') {
      break;
    }
    const std::string_view word = lex_.take().text;
    const Type type = type_called(word.substr(1));
    if (type == Type::none || type == Type::pred || result.type != Type::none) {
      throw DecodeError(fmt::format("PTX line {}: unexpected '{}' in a variable declaration", line, word),
                        line);
    }
    result.type = type;
    result.element = bytes_of(type);
  }
  if (result.type == Type::none) {
    lex_.fail("a type");
  }
  if (result.align < result.element || result.align == 0) {
    result.align = result.element;
  }
  return result;
}

std::uint64_t Parser::parse_extents(const VariableType& type, bool* open) {
  std::uint64_t count = 1;
  *open = false;
  for (bool first = true; lex_.accept('['); first = false) {
    if (first && lex_.accept(']')) {
      *open = true;
      continue;
    }
    const std::uint64_t extent = lex_.expect_integer(variable_limit, "an array extent");
    lex_.expect(']');
    if (extent != 0 && count * type.element > variable_limit / extent) {
      lex_.fail("a variable of at most 4 GiB");
    }
    count *= extent;
  }
  return count;
}

InitialValue Parser::parse_initial_value(const VariableType& type) {
  InitialValue value;
  value.line = lex_.line();
  value.minus = lex_.accept('-');
  if (lex_.peek().kind == Token::Kind::number) {
    value.is_number = true;
    value.float_bytes = lex_.peek().float_bytes;
    value.bits = lex_.take().bits;
    if ((type.type == Type::f32 || type.type == Type::f64) && value.float_bytes == 0) {
      lex_.fail("a float constant");
    }
    return value;
  }
  value.generic = lex_.accept(std::string_view("generic"));
  if (value.generic) {
    lex_.expect('(');
  }
  value.name = lex_.expect_word();
  if (value.generic) {
    lex_.expect(')');
  }
  if (lex_.peek().is('+') || lex_.peek().is('-')) {
    const bool down = lex_.take().is('-');
    const std::uint64_t offset = lex_.expect_integer(variable_limit, "an offset");
    value.bits = down ? ~offset + 1 : offset;
  }
  return value;
}

void Parser::parse_initialiser(const VariableType& type, std::uint64_t most,
                               std::vector<InitialValue>& values) {
  const auto add_value = [&] {
    if ((values.size() + 1) * type.element > most) {
      lex_.fail("no more initial values than elements");
    }
    values.push_back(parse_initial_value(type));
  };
  if (!lex_.peek().is('{')) {
    if (type.element > most) {
      lex_.fail("no initial value for a variable without elements");
    }
    add_value();
    return;
  }
  int depth = 0;
  do {
    while (lex_.accept('{')) {
      if (++depth > 16) {
        lex_.fail("an initialiser of at most 16 levels");
      }
    }
    if (!lex_.peek().is('}')) {
      add_value();
    }
    while (depth > 0 && lex_.accept('}')) {
      --depth;
    }
  } while (depth > 0 && lex_.accept(','));
  if (depth != 0) {
    lex_.fail("'}'");
  }
}

void Parser::parse_variables(Space space, bool is_external, std::vector<VariableDeclaration>& variables) {
  variables.clear();
  const VariableType type = parse_variable_type();
  do {
    VariableDeclaration& variable = variables.emplace_back();
    variable.space = space;
    variable.is_external = is_external;
    variable.type = type;
    variable.line = lex_.line();
    variable.name = lex_.expect_word();
    variable.size = type.element * parse_extents(type, &variable.open);
    const bool takes_values = space == Space::global || space == Space::constant;
    if (takes_values && lex_.accept('=')) {
      parse_initialiser(type, variable.open ? variable_limit : variable.size, variable.values);
    }
    if (takes_values && variable.open && !is_external && (variable.values.empty() || variable.size == 0)) {
      lex_.fail("a variable of known size");
    }
  } while (lex_.accept(','));
  lex_.expect(';');
}

}  // namespace kerncast::simulator
