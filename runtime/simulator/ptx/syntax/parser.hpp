#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

#include "runtime/simulator/ptx/syntax/lexer.hpp"
#include "runtime/simulator/ptx/syntax/syntax.hpp"

namespace kerncast::simulator {

/// Reads the syntax of PTX directives and instructions, one after the other, so that a module of any length
/// needs no tree in memory. Knows no meaning of names or opcodes. Throws DecodeError for malformed text.
class Parser {
 public:
  /// `text` must outlive everything that was parsed from it.
  explicit Parser(std::string_view text) : lex_(text) {}

  /// .version, .target and .address_size. The first call.
  ModuleHeader parse_header();
  /// The next directive outside functions. False at the end of the text. If it is a function with a body, the
  /// body's statements come next.
  bool next_directive(Directive& directive);
  /// The next statement of the function's body. False at the body's end.
  bool next_statement(Statement& statement);
  /// Line of the next token.
  [[nodiscard]] int line() const { return lex_.line(); }

 private:
  // parser.cpp: the module's directives.
  void parse_version(ModuleTarget& target);
  void parse_target(ModuleTarget& target);
  void parse_function(FunctionHeader& function);
  std::vector<ParameterSyntax> parse_parameters();
  void parse_kernel_directives(FunctionHeader& function);
  std::array<std::uint32_t, 3> parse_dimensions();
  void skip_braces();
  void skip_to_semicolon();

  // parse_variable.cpp: declarations of variables.
  VariableType parse_variable_type();
  std::uint64_t parse_extents(const VariableType& type, bool* open);
  void parse_variables(Space space, bool is_external, std::vector<VariableDeclaration>& variables);
  /// The initial values, which take at most `most` bytes.
  void parse_initialiser(const VariableType& type, std::uint64_t most, std::vector<InitialValue>& values);
  InitialValue parse_initial_value(const VariableType& type);

  // parse_statement.cpp: the statements of a body and their operands.
  void parse_labelled(Statement& statement);
  bool parse_body_directive(Statement& statement);
  void parse_branch_targets(Statement& statement);
  void parse_registers(RegisterDeclaration& registers);
  void parse_instruction(Statement& statement);
  void parse_call(Call& call);
  std::vector<std::string_view> parse_names();
  void parse_coordinates(Operand& operand);
  void parse_operand(Operand& operand);
  Scalar parse_scalar();

  Lexer lex_;
  std::size_t depth_ = 0;  ///< blocks within the body that are open
};

}  // namespace kerncast::simulator
