#include "runtime/simulator/ptx/module/module_assembly.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "runtime/simulator/exec/isa.hpp"
#include "runtime/simulator/ptx/decode/families.hpp"
#include "runtime/simulator/ptx/decode/instruction.hpp"
#include "runtime/simulator/ptx/matrix_lifetimes.hpp"
#include "runtime/simulator/ptx/module/layout.hpp"
#include "runtime/simulator/ptx/types.hpp"
#include "runtime/simulator/ptx/unmodelled.hpp"

namespace kerncast::simulator {

namespace {

constexpr std::size_t register_limit = std::size_t{1} << 20;
constexpr std::uint64_t parameter_limit = 1U << 20;

bool same_formals(const std::vector<FormalParameter>& a, const std::vector<FormalParameter>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const FormalParameter& x, const FormalParameter& y) { return x.size == y.size; });
}

/// The PTX line where `caller` first calls `callee` by name.
int line_of_call(const Program& program, const PtxFunction& caller, std::uint32_t callee) {
  for (std::uint32_t i = caller.first_op; i < caller.end_op; ++i) {
    const Op& op = program.ops[i];
    if (op.code == Code::call && program.calls[static_cast<std::size_t>(op.imm)].callee == callee) {
      return static_cast<int>(program.lines[i]);
    }
  }
  return 1;
}

}  // namespace

ModuleAssembly::ModuleAssembly(Program& program, int sm, Memory& memory, int device)
    : program_(program), sm_(sm), memory_(memory), device_(device), context_(program) {
  for (const char* name : {"alloca.", "stacksave.", "stackrestore."}) {
    context_.uses_stack = context_.uses_stack || program.text.find(name) != std::string::npos;
  }
}

void ModuleAssembly::begin(const ModuleHeader& header) {
  const ModuleTarget& target = header.target;
  const int line = header.target_line;
  const std::optional<int> version = version_of_target(target.sm, target.suffix);
  if (!version) {
    throw DecodeError(fmt::format("PTX line {}: unknown .target '{}'", line, target.name), line);
  }
  const bool fits = target.suffix == 'a'   ? target.sm == sm_
                    : target.suffix == 'f' ? target.sm <= sm_ && target.sm / 10 == sm_ / 10
                                           : target.sm <= sm_;
  if (!fits) {
    throw DecodeError(
        fmt::format("PTX line {}: made for {}, which a device of sm_{} does not run", line, target.name, sm_),
        line);
  }
  if (const std::string missing = lacking(Requirement{0, *version}, target); !missing.empty()) {
    throw DecodeError(fmt::format("PTX line {}: .target {} {}", line, target.name, missing), line);
  }
  context_.target = target;
}

void ModuleAssembly::declare_variables(const std::vector<VariableDeclaration>& variables) {
  for (const VariableDeclaration& variable : variables) {
    place_variable(variable, false);
  }
}

std::vector<FormalParameter> ModuleAssembly::place_parameters(const FunctionHeader& header,
                                                              const std::vector<ParameterSyntax>& parameters,
                                                              KernelInfo* kernel) {
  std::vector<FormalParameter> formals;
  FunctionState& function = context_.function;
  std::uint64_t& top = header.entry ? function.parameter_bytes : function.local_top;
  for (const ParameterSyntax& parameter : parameters) {
    Variable variable;
    variable.space = Space::param;
    variable.address = (top + parameter.type.align - 1) / parameter.type.align * parameter.type.align;
    variable.size = parameter.size;
    variable.frame_relative = !header.entry;
    top = variable.address + variable.size;
    if (top > parameter_limit) {
      throw DecodeError(
          fmt::format("PTX line {}: '{}' may have parameters of at most 1 MiB", header.line, header.name),
          header.line);
    }
    formals.push_back(
        {static_cast<std::uint32_t>(variable.address), static_cast<std::uint32_t>(variable.size)});
    if (kernel != nullptr) {
      kernel->parameters.push_back({variable.address, variable.size});
    }
    context_.names.declare_variable(parameter.name, variable, true);
  }
  return formals;
}

void ModuleAssembly::begin_function(const FunctionHeader& header, int line) {
  context_.body.clear();
  context_.names.begin_function();
  context_.labels.begin_function();
  context_.function = FunctionState{};
  context_.function.entry = header.entry;
  kernel_ = KernelInfo{};
  blocks_.clear();
  std::vector<FormalParameter> results = place_parameters(header, header.results, nullptr);
  std::vector<FormalParameter> arguments =
      place_parameters(header, header.arguments, header.entry ? &kernel_ : nullptr);
  for (const Statement::Target& directive : header.cluster_directives) {
    const Requirement needed{90, directive.label == ".blocksareclusters" ? 90 : 78};
    if (const std::string missing = lacking(needed, context_.target); !missing.empty()) {
      throw DecodeError(fmt::format("PTX line {}: {} {}", directive.line, directive.label, missing),
                        directive.line);
    }
  }
  const bool known = context_.functions.find(header.name).has_value();
  context_.function.index = context_.functions.declare(header.name);
  PtxFunction& function = program_.functions[context_.function.index];
  if (function.defined && (header.entry || header.has_body)) {
    throw DecodeError(fmt::format("PTX line {}: '{}' is defined twice", header.line, header.name),
                      header.line);
  }
  // Calls copy parameters as the declaration says that they follow, so no later one may differ.
  if (known && (function.entry != header.entry || !same_formals(function.results, results) ||
                !same_formals(function.arguments, arguments))) {
    throw DecodeError(
        fmt::format("PTX line {}: '{}' differs from its earlier declaration", header.line, header.name),
        header.line);
  }
  function.entry = header.entry;
  function.results = std::move(results);
  function.arguments = std::move(arguments);
  if (header.has_body) {
    function.defined = true;
    kernel_.name = function.name;
    kernel_.max_threads_per_block = header.max_threads;
    kernel_.required_block = header.required_block;
    kernel_.required_cluster = header.required_cluster;
    kernel_.explicit_cluster = header.explicit_cluster;
    reserve_alloca_area(context_, line);
  }
}

void ModuleAssembly::decode(Statement& statement) {
  switch (statement.kind) {
    case Statement::Kind::block_begin:
      blocks_.push_back(context_.names.mark());
      context_.labels.open_block();
      return;
    case Statement::Kind::block_end:
      context_.labels.close_block(context_.body);
      context_.names.forget_since(blocks_.back());
      blocks_.pop_back();
      return;
    case Statement::Kind::label:
      context_.labels.define(statement.name, static_cast<std::uint32_t>(context_.body.ops.size()));
      return;
    case Statement::Kind::prototype:
      context_.labels.define_prototype(statement.name);
      return;
    case Statement::Kind::branch_targets:
      define_branch_targets(statement);
      return;
    case Statement::Kind::registers:
      declare_registers(statement.registers);
      return;
    case Statement::Kind::variables:
      for (const VariableDeclaration& variable : statement.variables) {
        place_variable(variable, true);
      }
      return;
    case Statement::Kind::unmodelled: {
      const Instruction& instruction = statement.instruction;
      const std::string_view opcode = instruction.mods.opcode();
      throw UnmodelledError(unmodelled_message(opcode, unmodelled(opcode), instruction.line),
                            instruction.line);
    }
    case Statement::Kind::instruction:
    case Statement::Kind::call:
      decode_instruction(context_, statement);
      return;
  }
}

void ModuleAssembly::define_branch_targets(const Statement& statement) {
  std::vector<std::uint32_t>& entries = context_.body.table_targets;
  const auto first = static_cast<std::uint32_t>(entries.size());
  for (const Statement::Target& target : statement.targets) {
    context_.labels.refer_from_table(target.label, static_cast<std::uint32_t>(entries.size()), target.line);
    entries.push_back(0);
  }
  context_.labels.define_table(statement.name, first, static_cast<std::uint32_t>(statement.targets.size()));
}

void ModuleAssembly::declare_registers(const RegisterDeclaration& registers) {
  const int line = registers.line;
  const Type type = registers.type;
  if (type == Type::f16x2 || type == Type::b128) {
    const Requirement needed = type == Type::b128 ? Requirement{70, 83} : Requirement{53, 42};
    if (const std::string missing = lacking(needed, context_.target); !missing.empty()) {
      throw DecodeError(fmt::format("PTX line {}: a register of .{} {}", line, name_of(type), missing), line);
    }
  }
  // A register of 128 bits is two of 64.
  const unsigned bytes = register_bytes(type);
  std::vector<std::uint8_t>& all = context_.body.register_bytes;
  for (const RegisterDeclaration::Name& name : registers.names) {
    const std::size_t count = std::max<std::size_t>(name.count, 1) * (bytes == 16 ? 2 : 1);
    const auto first = static_cast<std::uint32_t>(all.size());
    if (all.size() + count > register_limit) {
      throw DecodeError(
          fmt::format("PTX line {}: more than {} registers in one function", line, register_limit), line);
    }
    all.resize(all.size() + count, static_cast<std::uint8_t>(bytes == 16 ? 8 : bytes));
    context_.names.declare_registers(name.text, name.count, type, first);
  }
}

void ModuleAssembly::refuse_function(const std::string& why) {
  PtxFunction& function = program_.functions[context_.function.index];
  function.refusal = why;
  function.callees.clear();
  context_.body.clear();
  context_.labels.begin_function();
}

void ModuleAssembly::end_function(int line) {
  // Running off the end is a return. The PTX has no instruction for it, so it is not counted.
  context_.begin_outside(line);
  context_.emit(context_.function.entry ? Code::exit : Code::ret, Type::none);
  context_.labels.close_block(context_.body);
  append_body();
  if (context_.function.entry) {
    kernel_.parameter_bytes = context_.function.parameter_bytes;
    kernel_.virtual_registers = static_cast<std::uint32_t>(context_.body.register_bytes.size());
    program_.kernels.push_back(std::move(kernel_));
    program_.kernel_functions.push_back(context_.function.index);
  }
}

void ModuleAssembly::append_body() {
  FunctionBody& body = context_.body;
  const std::uint32_t index = context_.function.index;
  PtxFunction& function = program_.functions[index];
  function.local_bytes = static_cast<std::uint32_t>((context_.function.local_top + 15) / 16 * 16);
  function.variable_bytes = static_cast<std::uint32_t>(context_.function.variable_bytes);
  function.shared_bytes = static_cast<std::uint32_t>(context_.function.shared_top);
  keep_until_waits(body, program_.lists);
  function.frame_bytes = assign_registers(body, program_.lists);
  order_blocks(body, context_.instruction_count());
  const auto base = static_cast<std::uint32_t>(program_.ops.size());
  const auto tables = static_cast<std::int64_t>(program_.targets.size());
  function.first_op = base;
  for (std::size_t i = 0; i < body.ops.size(); ++i) {
    Op& op = body.ops[i];
    if (op.code == Code::bra) {
      op.imm -= static_cast<std::int64_t>(i);
    } else if (op.code == Code::brx) {
      op.imm += tables;
    } else if (op.code == Code::ret) {
      op.imm = index;
    } else if (op.code == Code::call || op.code == Code::call_indirect || op.code == Code::host_call) {
      CallSite& site = program_.calls[static_cast<std::size_t>(op.imm)];
      site.frame_bytes = function.frame_bytes;
      site.local_bytes = function.local_bytes;
      site.variable_bytes = function.variable_bytes;
    }
  }
  for (const std::uint32_t target : body.table_targets) {
    program_.targets.push_back(target + base);
  }
  std::size_t next_use = 0;
  for (std::uint32_t i = 0; i < body.ops.size(); ++i) {
    program_.first_use.push_back(static_cast<std::uint32_t>(program_.uses.size()));
    for (; next_use < body.uses.size() && body.uses[next_use].op == i; ++next_use) {
      const RegisterUse& use = body.uses[next_use];
      program_.uses.push_back({use.place, use.list, use.bytes, use.field, use.defines, use.in_list});
    }
  }
  program_.ops.insert(program_.ops.end(), body.ops.begin(), body.ops.end());
  program_.lines.insert(program_.lines.end(), body.lines.begin(), body.lines.end());
  function.end_op = static_cast<std::uint32_t>(program_.ops.size());
}

void ModuleAssembly::check_callees() const {
  for (const PtxFunction& function : program_.functions) {
    for (const std::uint32_t callee : function.callees) {
      if (!program_.functions[callee].defined) {
        const int line = line_of_call(program_, function, callee);
        throw DecodeError(fmt::format("PTX line {}: '{}' calls '{}', which has no body here", line,
                                      function.name, program_.functions[callee].name),
                          line);
      }
    }
  }
}

void ModuleAssembly::select_handlers() {
  for (Op& op : program_.ops) {
    op.handler = isa().select(op);
    if (op.handler == nullptr) {
      const int line = program_.line_of(&op);
      PtxFunction& function = program_.functions[program_.function_index_of(&op)];
      if (function.refusal.empty()) {
        function.refusal = fmt::format("PTX line {}: '{}' is not modelled by the virtual GPU", line,
                                       program_.line_text(line));
      }
      op.code = Code::trap;
      op.handler = isa().select(op);
    }
  }
}

/// A function that calls one which cannot run cannot run either.
void ModuleAssembly::spread_refusals() {
  std::vector<std::vector<std::uint32_t>> callers(program_.functions.size());
  std::vector<std::uint32_t> open;
  for (std::uint32_t i = 0; i < program_.functions.size(); ++i) {
    for (const std::uint32_t callee : program_.functions[i].callees) {
      callers[callee].push_back(i);
    }
    if (!program_.functions[i].refusal.empty()) {
      open.push_back(i);
    }
  }
  while (!open.empty()) {
    const std::uint32_t refused = open.back();
    open.pop_back();
    for (const std::uint32_t caller : callers[refused]) {
      PtxFunction& function = program_.functions[caller];
      if (function.refusal.empty()) {
        function.refusal = fmt::format("it calls '{}': {}", program_.functions[refused].name,
                                       program_.functions[refused].refusal);
        open.push_back(caller);
      }
    }
  }
}

void ModuleAssembly::link() {
  context_.functions.link_indirect_calls();
  check_callees();
  for (PtxFunction& function : program_.functions) {
    function.shared_bytes = std::max(function.shared_bytes, static_cast<std::uint32_t>(shared_top_));
  }
  program_.constants = AlignedBytes(context_.constants.bytes().size());
  std::copy(context_.constants.bytes().begin(), context_.constants.bytes().end(), program_.constants.data());
  // Counting looks one op ahead, so something must follow the last function's end. It is never executed.
  Op& guard = program_.ops.emplace_back();
  guard.prefix = context_.instruction_count();
  program_.lines.push_back(0);
  program_.first_use.push_back(static_cast<std::uint32_t>(program_.uses.size()));
  select_handlers();
  spread_refusals();
}

}  // namespace kerncast::simulator
