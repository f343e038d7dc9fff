#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "runtime/simulator/machine/program.hpp"
#include "runtime/simulator/ptx/module/call_depth.hpp"
#include "runtime/simulator/ptx/module/module_assembly.hpp"
#include "runtime/simulator/ptx/syntax/parser.hpp"
#include "runtime/simulator/ptx/unmodelled.hpp"

namespace kerncast::simulator {

Module::Module(std::unique_ptr<Program> program) : program_(std::move(program)) {}
Module::~Module() = default;

namespace {

/// Decodes the statements of a function's body. What is not modelled leaves this function out, and no other.
void decode_body(Parser& parser, ModuleAssembly& assembly, Statement& statement) {
  try {
    while (parser.next_statement(statement)) {
      assembly.decode(statement);
    }
  } catch (const UnmodelledError& error) {
    assembly.refuse_function(error.what());
    while (parser.next_statement(statement)) {
    }
  }
}

/// True if the kernel may let a dependent launch begin. Device functions count for every kernel of the
/// module.
bool may_trigger(const Program& program, const PtxFunction& kernel) {
  for (const PtxFunction& function : program.functions) {
    const auto first = program.ops.begin() + function.first_op;
    const auto end = program.ops.begin() + function.end_op;
    if ((&function == &kernel || !function.entry) &&
        std::any_of(first, end, [](const Op& op) { return op.code == Code::grid_trigger; })) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::shared_ptr<Module> Module::decode(std::string_view ptx, int sm, Memory& memory, int device) {
  auto program = std::make_unique<Program>();
  program->memory = &memory;
  program->text = std::string(ptx);
  Parser parser(program->text);
  ModuleAssembly assembly(*program, sm, memory, device);
  assembly.begin(parser.parse_header());
  Statement statement;
  for (Directive directive; parser.next_directive(directive);) {
    if (directive.kind == Directive::Kind::variables) {
      assembly.declare_variables(directive.variables);
      continue;
    }
    assembly.begin_function(directive.function, parser.line());
    if (!directive.function.has_body) {
      continue;
    }
    // The three passes. The first two alternate by statement; a function's registers are allocated at its
    // end.
    decode_body(parser, assembly, statement);
    assembly.end_function(parser.line());
  }
  assembly.link();
  measure_call_depth(*program);
  for (std::size_t i = 0; i < program->kernels.size(); ++i) {
    const PtxFunction& function = program->functions[program->kernel_functions[i]];
    program->kernels[i].static_shared_bytes = function.shared_bytes;
    program->kernels[i].local_bytes = function.stack_local_bytes;
    program->kernels[i].refusal = function.refusal;
    program->kernels[i].triggers = may_trigger(*program, function);
  }
  return std::shared_ptr<Module>(new Module(std::move(program)));
}

int Module::find_kernel(std::string_view name) const {
  for (std::size_t i = 0; i < program_->kernels.size(); ++i) {
    if (program_->kernels[i].name == name) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

std::span<const KernelInfo> Module::kernels() const {
  return program_->kernels;
}

std::size_t Module::constant_bytes() const {
  return program_->constant_bytes;
}

const GlobalVariable* Module::find_variable(std::string_view name) const {
  const auto found = program_->variable_index.find(std::string(name));
  return found == program_->variable_index.end() ? nullptr : &program_->variables[found->second];
}

}  // namespace kerncast::simulator
