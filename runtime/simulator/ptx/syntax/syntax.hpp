#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/simulator/ptx/modifiers.hpp"
#include "runtime/simulator/ptx/module/requirements.hpp"
#include "runtime/simulator/ptx/operand.hpp"

/// The parser's view of PTX text, before any name has a meaning. All text points into the module's.
namespace kerncast::simulator {

/// An instruction with its guard and operands.
struct Instruction {
  Modifiers mods;
  std::array<Operand, 8> operands;
  std::size_t count = 0;
  int line = 0;
  std::string_view guard_name;
  std::uint32_t guard = 0;  ///< virtual register of the guard, once resolved
  bool guarded = false;
  bool guard_negated = false;
};

/// The text after `call`: `(results), callee, (arguments), prototype`.
struct Call {
  std::string_view callee;
  std::vector<std::string_view> results;
  std::vector<std::string_view> arguments;
};

/// The type of a variable or parameter.
struct VariableType {
  Type type = Type::none;
  std::uint64_t element = 0;  ///< bytes
  std::uint64_t align = 0;
};

/// One value of an initialiser: a number, or the address of a variable or function.
struct InitialValue {
  int line = 0;
  bool minus = false;
  bool is_number = false;
  std::uint8_t float_bytes = 0;
  std::uint64_t bits = 0;  ///< the number, or the offset that is added to the address
  std::string_view name;
  bool generic = false;  ///< generic(name)
};

/// One variable of a declaration.
struct VariableDeclaration {
  Space space = Space::generic;
  bool is_external = false;
  VariableType type;
  std::string_view name;
  int line = 0;
  bool open = false;       ///< its first extent is empty
  std::uint64_t size = 0;  ///< bytes, without the open extent
  std::vector<InitialValue> values;
};

/// `.reg .type a, b<count>;`
struct RegisterDeclaration {
  struct Name {
    std::string_view text;
    std::uint32_t count = 0;  ///< 0: a single register called `text`
  };
  int line = 0;
  Type type = Type::none;
  std::vector<Name> names;
};

/// A statement of a function's body.
struct Statement {
  enum class Kind : std::uint8_t {
    block_begin,
    block_end,
    label,
    prototype,       ///< a label of .callprototype or .calltargets
    branch_targets,  ///< a label of .branchtargets
    registers,
    variables,
    instruction,
    call,
    unmodelled,  ///< an instruction whose operands are not read
  };
  struct Target {
    std::string_view label;
    int line = 0;
  };
  Kind kind = Kind::label;
  std::string_view name;        ///< of a label
  std::vector<Target> targets;  ///< of .branchtargets
  RegisterDeclaration registers;
  std::vector<VariableDeclaration> variables;
  Instruction instruction;  ///< of a call, too: its opcode and guard
  Call call;
};

/// A parameter or result of a function.
struct ParameterSyntax {
  std::string_view name;
  VariableType type;
  std::uint64_t size = 0;  ///< bytes
};

/// A function up to its body.
struct FunctionHeader {
  bool entry = false;
  bool is_external = false;
  bool has_body = false;
  std::string_view name;
  int line = 0;
  std::vector<ParameterSyntax> results;
  std::vector<ParameterSyntax> arguments;
  std::uint32_t max_threads = 0;                    ///< product of .maxntid or .reqntid; 0 if there is none
  std::array<std::uint32_t, 3> required_block{};    ///< .reqntid; zeros if there is none
  std::array<std::uint32_t, 3> required_cluster{};  ///< .reqnctapercluster; zeros if there is none
  bool explicit_cluster = false;                    ///< .explicitcluster
  /// Directives that not every target has.
  std::vector<Statement::Target> cluster_directives;
};

/// A directive of the module.
struct Directive {
  enum class Kind : std::uint8_t { variables, function };
  Kind kind = Kind::variables;
  std::vector<VariableDeclaration> variables;
  FunctionHeader function;
};

/// The first lines of a module.
struct ModuleHeader {
  ModuleTarget target;
  int target_line = 0;
};

}  // namespace kerncast::simulator
