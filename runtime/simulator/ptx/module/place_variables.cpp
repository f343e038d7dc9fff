#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "runtime/simulator/ptx/module/module_assembly.hpp"
#include "runtime/simulator/ptx/types.hpp"

// Gives the variables of a module and of its functions their places and first values.
namespace kerncast::simulator {

namespace {

constexpr std::uint64_t shared_limit = 1U << 20;
constexpr std::uint64_t function_local_limit = std::uint64_t{1} << 19;

std::uint64_t align_up(std::uint64_t value, std::uint64_t to) {
  return (value + to - 1) / to * to;
}

}  // namespace

void ModuleAssembly::place_variable(const VariableDeclaration& declared, bool in_function) {
  Variable variable;
  variable.space = declared.space;
  variable.size = declared.size;
  if (declared.space == Space::shared) {
    place_shared(declared, in_function, variable);
  } else if (declared.space == Space::local || declared.space == Space::param) {
    place_local(declared, variable);
  } else {
    place_global(declared, variable);
  }
  context_.names.declare_variable(declared.name, variable, in_function);
}

void ModuleAssembly::place_shared(const VariableDeclaration& declared, bool in_function, Variable& variable) {
  if (declared.is_external || declared.open) {
    variable.external_shared = true;
    variable.size = 0;
    program_.dynamic_shared_alignment =
        std::max(program_.dynamic_shared_alignment, static_cast<std::uint32_t>(declared.type.align));
    return;
  }
  std::uint64_t& top = in_function ? context_.function.shared_top : shared_top_;
  top = std::max(top, shared_top_);
  variable.address = align_up(top, declared.type.align);
  top = variable.address + variable.size;
  if (top > shared_limit) {
    throw DecodeError(fmt::format("PTX line {}: over 1 MiB of static shared memory", declared.line),
                      declared.line);
  }
}

void ModuleAssembly::place_local(const VariableDeclaration& declared, Variable& variable) {
  std::uint64_t& top = context_.function.local_top;
  variable.frame_relative = true;
  variable.address = align_up(top, std::max<std::uint64_t>(declared.type.align, 8));
  top = variable.address + variable.size;
  if (declared.space == Space::local) {
    context_.function.variable_bytes += variable.size;
  }
  if (top > function_local_limit) {
    throw DecodeError(fmt::format("PTX line {}: over 512 KiB of local memory per thread", declared.line),
                      declared.line);
  }
}

void ModuleAssembly::place_global(const VariableDeclaration& declared, Variable& variable) {
  const int line = declared.line;
  if (declared.is_external) {
    throw DecodeError(
        fmt::format("PTX line {}: '{}' is defined in another module; linking modules is not supported", line,
                    declared.name),
        line);
  }
  const std::uint64_t element = declared.type.element;
  std::vector<std::byte> values(declared.values.size() * element);
  for (std::size_t i = 0; i < declared.values.size(); ++i) {
    write_initial_value(declared.values[i], declared.type, values.data() + i * element);
  }
  if (declared.open) {
    // The number of initial values says how many rows there are.
    variable.size = align_up(values.size(), declared.size);
  }
  std::byte* at = memory_.allocate(std::max<std::uint64_t>(variable.size, 1), MemoryKind::device, device_);
  if (at == nullptr) {
    throw DecodeError(
        fmt::format("PTX line {}: no memory for the {} bytes of '{}'", line, variable.size, declared.name),
        line);
  }
  program_.variable_index.insert_or_assign(std::string(declared.name), program_.variables.size());
  program_.variables.push_back({std::string(declared.name), at, variable.size});
  if (declared.space == Space::constant) {
    program_.constant_bytes = align_up(program_.constant_bytes, declared.type.align) + variable.size;
  }
  if (variable.size < Memory::zeroed_from) {
    std::memset(at, 0, variable.size);
  }
  std::copy(values.begin(), values.end(), at);
  memory_.mark_written(at, variable.size);
  variable.address = reinterpret_cast<std::uintptr_t>(at);
}

void ModuleAssembly::write_initial_value(const InitialValue& value, const VariableType& type, std::byte* at) {
  std::uint64_t bits = 0;
  if (!value.is_number) {
    bits = address_of(value, type);
  } else if (type.type == Type::f32 || type.type == Type::f64) {
    bits = float_bits(value.bits, value.float_bytes, type.type);
    bits ^= value.minus ? std::uint64_t{1} << (8 * type.element - 1) : 0;
  } else {
    bits = value.minus ? ~value.bits + 1 : value.bits;
  }
  std::memcpy(at, &bits, std::min<std::uint64_t>(type.element, sizeof bits));
}

std::uint64_t ModuleAssembly::address_of(const InitialValue& value, const VariableType& type) {
  const Variable* variable = context_.names.find_variable(value.name);
  const bool fits = type.element == 8 && !value.minus;
  if (variable == nullptr && fits && value.bits == 0) {
    if (const std::optional<std::uint64_t> pointer = context_.functions.pointer_to(value.name)) {
      return *pointer;
    }
  }
  if (variable == nullptr || variable->space == Space::param || variable->space == Space::local ||
      variable->external_shared || !fits) {
    throw DecodeError(fmt::format("PTX line {}: '{}' cannot initialise a .{} variable", value.line,
                                  value.name, name_of(type.type)),
                      value.line);
  }
  const bool windowed = value.generic && variable->space == Space::shared;
  return (variable->address | (windowed ? shared_window : 0)) + value.bits;
}

}  // namespace kerncast::simulator
