#include <fmt/format.h>

#include <limits>

#include "runtime/simulator/machine/machine.hpp"
#include "runtime/simulator/ptx/syntax/parser.hpp"
#include "runtime/simulator/ptx/types.hpp"
#include "runtime/simulator/ptx/unmodelled.hpp"

namespace kerncast::simulator {

namespace {

/// Compilers nest blocks a few levels deep.
constexpr std::size_t nesting_limit = 256;
constexpr std::uint64_t register_count_limit = 1U << 20;
/// The accumulators of the largest wgmma.
constexpr std::size_t vector_limit = 128;

}  // namespace

bool Parser::next_statement(Statement& statement) {
  for (;;) {
    if (lex_.accept('{')) {
      if (depth_ == nesting_limit) {
        lex_.fail(fmt::format("no more than {} blocks inside each other", nesting_limit));
      }
      ++depth_;
      statement.kind = Statement::Kind::block_begin;
      return true;
    }
    if (lex_.accept('}')) {
      statement.kind = Statement::Kind::block_end;
      return depth_-- != 0;
    }
    if (lex_.peek().kind == Token::Kind::end) {
      lex_.fail("'}'");
    }
    if (lex_.at_label()) {
      parse_labelled(statement);
      return true;
    }
    if (lex_.accept(';')) {
      continue;
    }
    const Token& token = lex_.peek();
    if (token.kind == Token::Kind::word && token.text.front() == '.') {
      if (parse_body_directive(statement)) {
        return true;
      }
      continue;
    }
    parse_instruction(statement);
    return true;
  }
}

void Parser::parse_labelled(Statement& statement) {
  statement.name = lex_.take().text;
  lex_.expect(':');
  if (lex_.accept(std::string_view(".branchtargets"))) {
    statement.kind = Statement::Kind::branch_targets;
    parse_branch_targets(statement);
  } else if (lex_.peek().is(".callprototype") || lex_.peek().is(".calltargets")) {
    statement.kind = Statement::Kind::prototype;
    skip_to_semicolon();
  } else {
    statement.kind = Statement::Kind::label;
  }
}

void Parser::parse_branch_targets(Statement& statement) {
  statement.targets.clear();
  do {
    Statement::Target target;
    target.label = lex_.expect_word();
    target.line = lex_.line();
    statement.targets.push_back(target);
  } while (lex_.accept(','));
  lex_.expect(';');
}

/// False if the directive says nothing about the program.
bool Parser::parse_body_directive(Statement& statement) {
  const Token token = lex_.peek();
  const std::string_view word = token.text;
  if (word == ".loc" || word == ".file") {
    lex_.skip_line();
    return false;
  }
  if (word == ".pragma") {
    lex_.take();
    lex_.take();
    lex_.expect(';');
    return false;
  }
  if (word == ".reg") {
    lex_.take();
    statement.kind = Statement::Kind::registers;
    parse_registers(statement.registers);
    return true;
  }
  const Space space = word == ".local"    ? Space::local
                      : word == ".shared" ? Space::shared
                      : word == ".param"  ? Space::param
                      : word == ".global" ? Space::global
                      : word == ".const"  ? Space::constant
                                          : Space::generic;
  if (space == Space::generic) {
    throw DecodeError(
        fmt::format("PTX line {}: the virtual GPU does not know the directive '{}'", token.line, word),
        token.line);
  }
  lex_.take();
  statement.kind = Statement::Kind::variables;
  parse_variables(space, false, statement.variables);
  return true;
}

void Parser::parse_registers(RegisterDeclaration& registers) {
  registers.line = lex_.line();
  const std::string_view word = lex_.expect_word();
  const Type type = word.starts_with('.') ? type_called(word.substr(1)) : Type::none;
  if (!is_bits(type) && !is_integer(type) && type != Type::pred && type != Type::f16 && type != Type::f16x2 &&
      type != Type::f32 && type != Type::f64) {
    throw DecodeError(fmt::format("PTX line {}: unknown register type '{}'", registers.line, word),
                      registers.line);
  }
  registers.type = type;
  registers.names.clear();
  do {
    RegisterDeclaration::Name& name = registers.names.emplace_back();
    name.text = lex_.expect_word();
    if (lex_.accept('<')) {
      name.count = static_cast<std::uint32_t>(lex_.expect_integer(register_count_limit, "a register count"));
      lex_.expect('>');
      if (name.count == 0) {
        lex_.fail("a register count above 0");
      }
    }
  } while (lex_.accept(','));
  lex_.expect(';');
}

void Parser::parse_instruction(Statement& statement) {
  Instruction& instruction = statement.instruction;
  instruction.guarded = lex_.accept('@');
  instruction.guard_negated = instruction.guarded && lex_.accept('!');
  if (instruction.guarded) {
    instruction.guard_name = lex_.expect_word();
  }
  instruction.count = 0;
  instruction.line = lex_.line();
  instruction.mods = Modifiers(lex_.expect_word(), instruction.line);
  if (instruction.mods.base() == "call") {
    statement.kind = Statement::Kind::call;
    parse_call(statement.call);
    return;
  }
  if (!unmodelled(instruction.mods.opcode()).empty()) {
    statement.kind = Statement::Kind::unmodelled;
    skip_to_semicolon();
    return;
  }
  statement.kind = Statement::Kind::instruction;
  while (!lex_.accept(';')) {
    if (instruction.count == instruction.operands.size()) {
      lex_.fail("';'");
    }
    parse_operand(instruction.operands[instruction.count++]);
    if (!lex_.accept(',') && !lex_.peek().is(';')) {
      lex_.fail("',' or ';'");
    }
  }
}

std::vector<std::string_view> Parser::parse_names() {
  std::vector<std::string_view> names;
  lex_.expect('(');
  while (!lex_.accept(')')) {
    names.push_back(lex_.expect_word());
    if (!lex_.accept(',') && !lex_.peek().is(')')) {
      lex_.fail("',' or ')'");
    }
  }
  return names;
}

void Parser::parse_call(Call& call) {
  call = Call{};
  if (lex_.peek().is('(')) {
    call.results = parse_names();
    lex_.expect(',');
  }
  call.callee = lex_.expect_word();
  if (lex_.accept(',')) {
    if (lex_.peek().is('(')) {
      call.arguments = parse_names();
      if (lex_.accept(',')) {
        lex_.expect_word();
      }
    } else {
      lex_.expect_word();
    }
  }
  lex_.expect(';');
}

Scalar Parser::parse_scalar() {
  const bool negated = lex_.accept('!');
  const bool minus = !negated && lex_.accept('-');
  const Token token = lex_.peek();
  Scalar scalar;
  scalar.text = token.text;
  if (token.kind == Token::Kind::number) {
    lex_.take();
    scalar.kind = Scalar::Kind::number;
    scalar.bits = token.bits;
    scalar.float_bytes = token.float_bytes;
    if (minus) {
      scalar.bits = token.float_bytes == 0   ? ~token.bits + 1
                    : token.float_bytes == 4 ? token.bits ^ 0x80000000U
                                             : token.bits ^ 0x8000000000000000ULL;
    }
    return scalar;
  }
  if (minus || token.kind != Token::Kind::word) {
    lex_.fail("an operand");
  }
  lex_.take();
  scalar.kind = Scalar::Kind::name;
  scalar.negated = negated;
  return scalar;
}

/// The coordinates of [map, {x, y}].
void Parser::parse_coordinates(Operand& operand) {
  lex_.expect('{');
  do {
    if (operand.count == operand.parts.size()) {
      lex_.fail("'}'");
    }
    operand.parts[operand.count++] = parse_scalar();
  } while (lex_.accept(','));
  lex_.expect('}');
}

void Parser::parse_operand(Operand& operand) {
  constexpr std::uint64_t offset_limit = std::numeric_limits<std::int64_t>::max();
  const auto parse_element = [&] {
    Scalar scalar = parse_scalar();
    if (scalar.kind == Scalar::Kind::name && (lex_.peek().is('+') || lex_.peek().is('-'))) {
      const bool down = lex_.take().is('-');
      const std::uint64_t offset = lex_.expect_integer(offset_limit, "an offset");
      scalar.bits = down ? ~offset + 1 : offset;
      scalar.has_offset = true;
    }
    return scalar;
  };
  operand.kind = Operand::Kind::scalar;
  operand.count = 1;
  operand.pair = Scalar{};
  operand.offset = 0;
  if (lex_.accept('[')) {
    operand.kind = Operand::Kind::address;
    operand.parts[0] = parse_scalar();
    const bool is_name = operand.parts[0].kind == Scalar::Kind::name;
    if (lex_.peek().is('+') || (is_name && lex_.peek().is('-'))) {
      // A register's offset is negative in the form [x+-4], a variable's in the form [x-4].
      operand.parts[0].has_offset = lex_.peek().is('-');
      bool down = lex_.take().is('-');
      down = lex_.accept('-') != down;
      const auto offset = static_cast<std::int64_t>(lex_.expect_integer(offset_limit, "an offset"));
      operand.offset = down ? -offset : offset;
    } else if (lex_.accept(',')) {
      parse_coordinates(operand);
    }
    lex_.expect(']');
    return;
  }
  if (lex_.accept('{')) {
    operand.kind = Operand::Kind::vector;
    operand.count = 0;
    do {
      if (operand.count == vector_limit) {
        lex_.fail(fmt::format("a vector of at most {} elements", vector_limit));
      }
      if (operand.count == operand.parts.size()) {
        operand.parts.resize(vector_limit);
      }
      operand.parts[operand.count++] = parse_element();
    } while (lex_.accept(','));
    lex_.expect('}');
    return;
  }
  operand.parts[0] = parse_element();
  if (lex_.accept('|')) {
    operand.pair = parse_element();
  }
}

}  // namespace kerncast::simulator
