#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/simulator/machine/program.hpp"
#include "runtime/simulator/ptx/decode_context.hpp"
#include "runtime/simulator/ptx/syntax/syntax.hpp"

namespace kerncast::simulator {

/// Puts a program together from what the parser reads: places variables, decodes the functions' statements,
/// allocates their registers and links their calls. The functions throw DecodeError.
class ModuleAssembly {
 public:
  /// For a device of architecture `sm`, as 90, that is device `device` and has its memory in `memory`.
  ModuleAssembly(Program& program, int sm, Memory& memory, int device);

  /// Checks the module's target and version.
  void begin(const ModuleHeader& header);
  void declare_variables(const std::vector<VariableDeclaration>& variables);
  /// Declares a function. If it has a body, that is decoded next; `line` is the body's first.
  void begin_function(const FunctionHeader& header, int line);
  /// Decodes one statement of the body.
  void decode(Statement& statement);
  /// Leaves the body out: the function cannot run, for the reason given. Its remaining statements are
  /// skipped.
  void refuse_function(const std::string& why);
  /// Ends the body at `line`: allocates its registers and appends its ops to the program.
  void end_function(int line);
  /// Links calls and constants and picks the handlers of all ops, after the last function.
  void link();

 private:
  // module_assembly.cpp
  std::vector<FormalParameter> place_parameters(const FunctionHeader& header,
                                                const std::vector<ParameterSyntax>& parameters,
                                                KernelInfo* kernel);
  void declare_registers(const RegisterDeclaration& registers);
  void define_branch_targets(const Statement& statement);
  void append_body();
  void check_callees() const;
  void select_handlers();
  void spread_refusals();

  // place_variables.cpp
  void place_variable(const VariableDeclaration& declared, bool in_function);
  void place_shared(const VariableDeclaration& declared, bool in_function, Variable& variable);
  void place_local(const VariableDeclaration& declared, Variable& variable);
  void place_global(const VariableDeclaration& declared, Variable& variable);
  void write_initial_value(const InitialValue& value, const VariableType& type, std::byte* at);
  std::uint64_t address_of(const InitialValue& value, const VariableType& type);

  Program& program_;
  int sm_;
  Memory& memory_;
  int device_;
  DecodeContext context_;
  std::uint64_t shared_top_ = 0;  ///< end of the module's own shared variables

  KernelInfo kernel_;  ///< the function being decoded, if it is a kernel
  std::vector<Names::Mark> blocks_;
};

}  // namespace kerncast::simulator
