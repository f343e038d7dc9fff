#include "runtime/simulator/ptx/decode_context.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "runtime/simulator/machine/machine.hpp"
#include "runtime/simulator/ptx/types.hpp"
#include "runtime/simulator/ptx/unmodelled.hpp"

namespace kerncast::simulator {

namespace {

/// The requirement for reading the special register `name`.
Requirement requirement_of_special(std::string_view name) {
  if (name.starts_with("%cluster") || name.starts_with("%ncluster")) {
    return {90, 78};
  }
  if (name == "%aggr_smem_size") {
    return {90, 81};
  }
  if (name == "%dynamic_smem_size" || name == "%total_smem_size") {
    return {0, 41};
  }
  if (name == "%clock_hi") {
    return {0, 50};
  }
  if (name.starts_with("%globaltimer")) {
    return {0, 31};
  }
  return {};
}

}  // namespace

void DecodeContext::begin_instruction(Instruction& given) {
  instruction_ = &given;
  emitted_ = false;
  if (given.guarded) {
    resolve_guard();
  }
  for (std::size_t i = 0; i < given.count; ++i) {
    Operand& operand = given.operands[i];
    for (std::size_t part = 0; part < operand.count; ++part) {
      resolve(operand.parts[part]);
    }
    resolve(operand.pair);
  }
}

void DecodeContext::end_instruction() {
  if (!emitted_) {
    emit(Code::nop, Type::none);
  }
  ++instruction_count_;
}

void DecodeContext::begin_outside(int line) {
  outside_ = Instruction{};
  outside_.line = line;
  instruction_ = &outside_;
  emitted_ = false;
}

void DecodeContext::resolve_guard() {
  Scalar guard;
  guard.kind = Scalar::Kind::name;
  guard.text = instruction_->guard_name;
  names.resolve(guard);
  if (guard.kind != Scalar::Kind::reg || guard.bytes != 0) {
    throw DecodeError(
        fmt::format("PTX line {}: guard '{}' is not a predicate", instruction_->line, guard.text),
        instruction_->line);
  }
  instruction_->guard = guard.reg;
}

void DecodeContext::resolve(Scalar& scalar) const {
  if (scalar.kind != Scalar::Kind::name) {
    return;
  }
  names.resolve(scalar);
  if (scalar.kind == Scalar::Kind::special) {
    need(requirement_of_special(scalar.text), scalar.text);
  }
  if (scalar.has_offset && scalar.kind != Scalar::Kind::variable) {
    fail(fmt::format("'{}' is not a variable, so it takes no offset of this form", scalar.text));
  }
}

const Operand& DecodeContext::operand(std::size_t index) const {
  if (index >= instruction_->count) {
    fail(fmt::format("operand {} is missing", index + 1));
  }
  return instruction_->operands[index];
}

void DecodeContext::replace_operand(std::size_t index, std::uint32_t reg, unsigned bytes) {
  Scalar& scalar = instruction_->operands[index].parts[0];
  scalar = Scalar{};
  scalar.kind = Scalar::Kind::reg;
  scalar.bytes = static_cast<std::uint8_t>(bytes);
  scalar.reg = reg;
}

void DecodeContext::materialise_operands() {
  for (std::size_t i = 0; i < instruction_->count; ++i) {
    Operand& operand = instruction_->operands[i];
    for (std::size_t part = 0; part < operand.count; ++part) {
      materialise(operand.parts[part], operand.kind == Operand::Kind::address);
    }
  }
}

void DecodeContext::materialise(Scalar& scalar, bool in_address) {
  if (scalar.kind == Scalar::Kind::special && instruction_->mods.base() == "cvt") {
    const std::uint32_t reg = new_register(scalar.bytes);
    Op& op = emit_unguarded(Code::mov_special, scalar.bytes == 8 ? Type::u64 : Type::u32);
    op.sub = static_cast<std::uint8_t>(scalar.special);
    reference(Field::d, reg, true);
    scalar.kind = Scalar::Kind::reg;
    scalar.reg = reg;
    return;
  }
  if (scalar.kind != Scalar::Kind::variable) {
    return;
  }
  const Variable& variable = *scalar.variable;
  if (!variable.external_shared && (in_address || !variable.frame_relative)) {
    return;
  }
  const unsigned bytes = 8;
  const std::uint32_t reg = new_register(bytes);
  Op& op = emit_unguarded(Code::mov_special, Type::u64);
  op.sub = static_cast<std::uint8_t>(variable.external_shared ? Special::dynamic_shared_base
                                                              : Special::local_base);
  op.imm = static_cast<std::int64_t>(scalar.bits + variable.address);
  if (variable.space == Space::param) {
    op.imm = static_cast<std::int64_t>(static_cast<std::uint64_t>(op.imm) | local_window);
  }
  reference(Field::d, reg, true);
  scalar.kind = Scalar::Kind::reg;
  scalar.reg = reg;
  scalar.bytes = bytes;
}

void DecodeContext::fail(const std::string& what) const {
  const int line = instruction_->line;
  throw DecodeError(fmt::format("PTX line {}: {}: {}", line, instruction_->mods.opcode(), what), line);
}

void DecodeContext::need(const Requirement& needed, std::string_view detail) const {
  if (const std::string missing = lacking(needed, target); !missing.empty()) {
    fail(detail.empty() ? missing : fmt::format("{} {}", detail, missing));
  }
}

void DecodeContext::check_requirements() {
  if (!checked_opcodes_.insert(mods().opcode()).second) {
    return;
  }
  if (const std::string missing = lacking(mods(), target); !missing.empty()) {
    fail(missing);
  }
}

void DecodeContext::unsupported(std::string_view what) const {
  fail(fmt::format("the virtual GPU does not support {}", what));
}

void DecodeContext::not_modelled(std::string_view what) const {
  throw UnmodelledError(unmodelled_message(instruction_->mods.opcode(), what, line()), line());
}

void DecodeContext::expect_operands(std::size_t least, std::size_t most) const {
  if (instruction_->count < least || instruction_->count > most) {
    fail(fmt::format("has {} operands, needs {}", instruction_->count,
                     least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most)));
  }
}

void DecodeContext::expect_address(std::size_t index) const {
  if (operand(index).kind != Operand::Kind::address) {
    fail("needs an address operand in brackets");
  }
  if (operand(index).one().kind == Scalar::Kind::number) {
    fail("a constant address is for local memory");
  }
  check_address_type(operand(index).one());
}

void DecodeContext::check_word(std::size_t index) const {
  const Scalar& scalar = operand(index).one();
  const bool number = scalar.kind == Scalar::Kind::number && scalar.float_bytes == 0;
  if (!number && (scalar.kind != Scalar::Kind::reg || scalar.bytes != 4)) {
    fail(fmt::format("operand {} must have 32 bits", index + 1));
  }
  check_type(scalar, Type::u32);
}

void DecodeContext::check_policy(std::size_t index) const {
  const Scalar& scalar = operand(index).one();
  if (operand(index).kind != Operand::Kind::scalar ||
      !(scalar.kind == Scalar::Kind::number || (scalar.kind == Scalar::Kind::reg && scalar.bytes == 8))) {
    fail(fmt::format("operand {} must be a cache policy, of 64 bits", index + 1));
  }
  check_type(scalar, Type::u64);
}

void DecodeContext::check_constant(std::size_t index, std::int64_t least, std::int64_t most,
                                   std::int64_t step) const {
  const Scalar& scalar = operand(index).one();
  if (scalar.kind != Scalar::Kind::number) {
    return;
  }
  const auto value = static_cast<std::int64_t>(scalar.bits);
  if (scalar.float_bytes != 0 || value < least || value > most || value % step != 0) {
    fail(fmt::format("operand {} must be {} from {} to {}", index + 1,
                     step == 1 ? std::string("a number") : fmt::format("a multiple of {}", step), least,
                     most));
  }
}

void DecodeContext::check_space(const Scalar& named, Space space) const {
  const Space own = named.variable->space;
  if (space == Space::generic ? own == Space::constant || own == Space::param : own != space) {
    fail(fmt::format("'{}' is not a variable of the instruction's state space", named.text));
  }
}

}  // namespace kerncast::simulator
